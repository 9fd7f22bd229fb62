//! The proof: what every wallet must hold, computed from the answers, against what both services say.

pub(crate) mod check;
pub(crate) mod expected;
pub(crate) mod settle;
pub(crate) mod state;
