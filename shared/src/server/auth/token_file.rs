//! A token that is shown to another service, in a file that others renew.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::server::settings::Secret;

/// Reads the file when it has changed, so that a token can be renewed without a restart. Clones share what was read.
#[derive(Clone)]
pub struct TokenFile(Arc<Inner>);

struct Inner {
    path: PathBuf,
    read: Mutex<Option<Read>>,
}

struct Read {
    token: Secret,
    /// Of the file when it was read.
    state: (SystemTime, u64),
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenFile({})", self.0.path.display())
    }
}

impl TokenFile {
    pub fn new(path: PathBuf) -> Self {
        let read = Mutex::new(None);
        Self(Arc::new(Inner { path, read }))
    }

    /// The token as the file has it now.
    ///
    /// # Errors
    /// When the file cannot be read or is empty.
    pub fn current(&self) -> io::Result<Secret> {
        let Inner { path, read } = &*self.0;
        let file = fs::metadata(path)?;
        let state = (file.modified()?, file.len());
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.as_ref().filter(|known| known.state == state) {
            return Ok(known.token.clone());
        }
        let text = fs::read_to_string(path)?;
        let text = text.trim();
        if text.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is empty",
            ));
        }
        let token = Secret::new(text);
        *read = Some(Read {
            token: token.clone(),
            state,
        });
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_again_when_its_file_changes() {
        let path = std::env::temp_dir().join(format!("token-{}", std::process::id()));
        let file = TokenFile::new(path.clone());
        assert!(file.current().is_err());
        for token in ["one", "another"] {
            fs::write(&path, format!("{token}\n")).unwrap();
            assert_eq!(file.current().unwrap().expose(), token);
            assert_eq!(file.current().unwrap().expose(), token);
        }
        fs::write(&path, " \n").unwrap();
        assert!(file.current().is_err());
        fs::remove_file(path).unwrap();
        assert!(
            file.current().is_err(),
            "a token that was taken away is not used"
        );
    }
}
