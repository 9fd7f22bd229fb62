//! Minor units by what they mean: what is asked, what happened, what is there.

/// What a command moves: minor units, strictly positive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Amount(i64);

impl Amount {
    pub const fn try_new(minor: i64) -> Option<Self> {
        if minor > 0 { Some(Self(minor)) } else { None }
    }

    pub const fn minor(self) -> i64 {
        self.0
    }

    /// This amount arriving at a wallet.
    pub const fn credit(self) -> Change {
        Change(self.0)
    }

    /// This amount leaving a wallet.
    pub const fn debit(self) -> Change {
        Change(-self.0)
    }
}

impl From<Amount> for Balance {
    fn from(amount: Amount) -> Self {
        Self(amount.0)
    }
}

/// What happened to one wallet: signed minor units, never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Change(i64);

impl Change {
    pub const fn try_new(minor: i64) -> Option<Self> {
        if minor == 0 { None } else { Some(Self(minor)) }
    }

    pub const fn minor(self) -> i64 {
        self.0
    }
}

/// What a wallet holds: signed minor units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Balance(i64);

impl Balance {
    pub const ZERO: Self = Self(0);

    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    pub const fn new(minor: i64) -> Self {
        Self(minor)
    }

    pub const fn minor(self) -> i64 {
        self.0
    }

    /// The balance after `change`, or `None` when it would leave the range of 64 bits.
    pub const fn after(self, change: Change) -> Option<Self> {
        match self.0.checked_add(change.0) {
            Some(minor) => Some(Self(minor)),
            None => None,
        }
    }
}
