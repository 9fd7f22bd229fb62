//! How many requests: the limits, with their variables and defaults.
//!
//! Where only this machine's own programs reach the service, and in a demonstration, there are none unless they are set.

use std::{net::IpAddr, num::NonZeroU32};

use super::network::Proxies;
use crate::server::{auth::settings::is_reached_by_others, settings::SettingsReader};

/// So many at once, and so many a second from then on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

impl Quota {
    pub(super) fn of_governor(self) -> governor::Quota {
        governor::Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

/// The field documentation names the variables and the defaults where others reach the service.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RateLimitSettings {
    /// `RATE_LIMIT_PER_SECOND`, 50, and `RATE_LIMIT_BURST`: of a user, or of a service that acts for some; of an address
    /// where callers are not told apart.
    pub caller: Option<Quota>,
    /// `RATE_LIMIT_SERVICE_PER_SECOND`, 0, and `RATE_LIMIT_SERVICE_BURST`: of a service that acts for everyone. It is
    /// the operator's own, and all its users' requests are one caller's.
    pub service: Option<Quota>,
    /// `RATE_LIMIT_ADDRESS_PER_SECOND`, 500, and `RATE_LIMIT_ADDRESS_BURST`: of all callers at one address together.
    pub address: Option<Quota>,
    /// `RATE_LIMIT_FAILED_PER_SECOND`, 5, and `RATE_LIMIT_FAILED_BURST`: of requests from one address without a token
    /// that is good.
    pub failed: Option<Quota>,
    /// `TRUSTED_PROXIES`, none.
    pub proxies: Proxies,
}

/// A burst that is not set: so many seconds' requests.
const BURST_SECONDS: u32 = 4;
const PER_SECOND_MAX: u32 = 1_000_000;

impl RateLimitSettings {
    /// `listen` is the address the service listens on.
    pub fn from_settings(settings: &SettingsReader<'_>, listen: IpAddr) -> Self {
        let is_reached = is_reached_by_others(settings, listen);
        let default = |per_second| if is_reached { per_second } else { 0 };
        let rates = || 0..=PER_SECOND_MAX;
        let bursts = || 1..=PER_SECOND_MAX * BURST_SECONDS;
        let caller = settings.ranged("RATE_LIMIT_PER_SECOND", default(50), rates());
        let service = settings.ranged("RATE_LIMIT_SERVICE_PER_SECOND", 0, rates());
        let address = settings.ranged("RATE_LIMIT_ADDRESS_PER_SECOND", default(500), rates());
        let failed = settings.ranged("RATE_LIMIT_FAILED_PER_SECOND", default(5), rates());
        let caller_burst = settings.ranged("RATE_LIMIT_BURST", usual(caller), bursts());
        let service_burst = settings.ranged("RATE_LIMIT_SERVICE_BURST", usual(service), bursts());
        let address_burst = settings.ranged("RATE_LIMIT_ADDRESS_BURST", usual(address), bursts());
        let failed_burst = settings.ranged("RATE_LIMIT_FAILED_BURST", usual(failed), bursts());
        Self {
            caller: quota(caller, caller_burst),
            service: quota(service, service_burst),
            address: quota(address, address_burst),
            failed: quota(failed, failed_burst),
            proxies: settings
                .checked("TRUSTED_PROXIES", Proxies::parse)
                .unwrap_or_default(),
        }
    }
}

/// The burst that goes with so many a second.
fn usual(per_second: u32) -> u32 {
    per_second.saturating_mul(BURST_SECONDS).max(1)
}

fn quota(per_second: u32, burst: u32) -> Option<Quota> {
    Some(Quota {
        per_second: NonZeroU32::new(per_second)?,
        burst: NonZeroU32::new(burst)?,
    })
}
