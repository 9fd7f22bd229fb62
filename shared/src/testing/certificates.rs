//! Certificates of a test's own, in a folder: of an authority that is trusted and of one that is not, and of servers that
//! are what they should be, that have expired, and that are for another host.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::expect;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Certificates(PathBuf);

impl Certificates {
    /// Makes all of them.
    ///
    /// # Panics
    /// When the folder cannot be written to.
    pub fn make(folder: impl Into<PathBuf>) -> Self {
        let made = Self(folder.into());
        expect(fs::create_dir_all(&made.0), "a folder can be made");
        let authority = made.authority("ca");
        made.authority("other-ca");
        made.issue(&authority, "good", &["localhost", "127.0.0.1"], 2100);
        made.issue(&authority, "expired", &["localhost", "127.0.0.1"], 2020);
        made.issue(&authority, "elsewhere", &["other.example"], 2100);
        made
    }

    /// Another certificate for this machine, under a name of its own.
    ///
    /// # Panics
    /// As [`Self::make`].
    pub fn make_another(&self, name: &str) {
        let authority = self.authority(&format!("{name}-ca"));
        self.issue(&authority, name, &["localhost", "127.0.0.1"], 2100);
    }

    fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let mut params = params(name, &[], 2100);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = expect(KeyPair::generate(), "a key can be made");
        let own = expect(params.self_signed(&key), "a certificate can be signed");
        self.write(&format!("{name}.pem"), &own.pem());
        Issuer::new(params, key)
    }

    fn issue(&self, by: &Issuer<'_, KeyPair>, name: &str, hosts: &[&str], ends: i32) {
        let key = expect(KeyPair::generate(), "a key can be made");
        let signed = params(name, hosts, ends).signed_by(&key, by);
        let signed = expect(signed, "a certificate can be signed");
        self.write(&format!("{name}.pem"), &signed.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
        let both = format!("{}{}", key.serialize_pem(), signed.pem());
        self.write(&format!("{name}.both.pem"), &both);
    }

    fn write(&self, name: &str, text: &str) {
        expect(fs::write(self.0.join(name), text), "a file can be written");
    }

    /// The path of a file: `ca.pem` and `other-ca.pem`, and of each server `good.pem`, `good.key` and, in one, `good.both.pem`.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }
}

fn params(name: &str, hosts: &[&str], ends: i32) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = expect(CertificateParams::new(hosts), "the hosts are names");
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(ends, 1, 1);
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    params
}
