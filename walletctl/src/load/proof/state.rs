//! A wallet as far as the proof compares it.

/// What a service says of a wallet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WalletState {
    pub(crate) minor: i64,
    /// The number of its latest event.
    pub(crate) events: i64,
}

impl WalletState {
    /// A wallet that was made and not moved yet.
    pub(crate) const NEW: Self = Self {
        minor: 0,
        events: 1,
    };
}
