//! Values of flags that are more than a number or a word.

use std::{collections::HashSet, str::FromStr, sync::Arc};

use rand_distr::{Zipf, num_traits::ToPrimitive};
use shared::WalletId;

/// One million is certainty.
const MILLION: u32 = 1_000_000;

/// A share of a whole, in millionths: choices stay whole numbers, and so the same on every machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    millionths: u32,
}

impl Share {
    /// Whether a draw from `0..1_000_000` falls within the share.
    pub(crate) const fn holds(self, draw: u32) -> bool {
        draw < self.millionths
    }

    pub(crate) const DRAWS: u32 = MILLION;

    /// The share of a number, rounded up: a tenth of five is one.
    pub(crate) fn of(self, whole: usize) -> usize {
        let millionths = self.millionths as usize;
        whole
            .saturating_mul(millionths)
            .div_ceil(MILLION as usize)
            .min(whole)
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "it is a number from 0 to 1 with at most six decimals, such as 0.1";
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.is_empty() || fraction.len() > 6 {
            return Err(RULE);
        }
        let fraction: u32 = format!("{fraction:0<6}").parse().map_err(|_| RULE)?;
        let whole: u32 = whole.parse().map_err(|_| RULE)?;
        let millionths = whole
            .checked_mul(MILLION)
            .and_then(|millionths| millionths.checked_add(fraction))
            .filter(|millionths| *millionths <= MILLION)
            .ok_or(RULE)?;
        Ok(Self { millionths })
    }
}

/// The exponent of Zipf's law: the wallet of rank `r` is chosen in proportion to `1 / r^exponent`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Exponent(f64);

impl Exponent {
    /// Beyond it nearly everything goes to the first wallet.
    const MAX: f64 = 10.0;

    pub(crate) const fn number(self) -> f64 {
        self.0
    }

    /// Draws ranks of so many; never `None` for a number of wallets.
    pub(crate) fn ranks(self, among: usize) -> Option<Zipf<f64>> {
        Zipf::new(among.to_f64()?, self.0).ok()
    }
}

impl FromStr for Exponent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(number) if (0.0..=Self::MAX).contains(&number) => Ok(Self(number)),
            _ => Err("it is a number from 0 to 10, such as 1.0"),
        }
    }
}

/// Wallets that are there already, from a file with one id in each line.
#[derive(Clone, Debug)]
pub struct Wallets(Arc<[WalletId]>);

impl Wallets {
    pub(crate) fn ids(&self) -> &[WalletId] {
        &self.0
    }

    /// Reads the file at `path`; an empty line is none.
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parsed(&text)
    }

    fn parsed(text: &str) -> Result<Self, String> {
        let mut known = HashSet::new();
        let mut ids = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let id: WalletId = line
                .parse()
                .map_err(|_| format!("line {number}: {line:?} is not a wallet's id"))?;
            if !known.insert(id) {
                return Err(format!("line {number}: {id} is there twice"));
            }
            ids.push(id);
        }
        if ids.is_empty() {
            return Err("there is no wallet in it".to_owned());
        }
        Ok(Self(ids.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_exact() {
        let share = |text: &str| text.parse::<Share>();
        assert_eq!(share("0.1").unwrap().of(100), 10);
        assert_eq!(share("0.1").unwrap().of(5), 1);
        assert_eq!(share("1").unwrap().of(7), 7);
        assert_eq!(share("0").unwrap().of(7), 0);
        assert!(share("1").unwrap().holds(999_999));
        assert!(!share("0").unwrap().holds(0));
        for text in ["", ".", "1.", "-0.1", "2", "0.0000001", "+1"] {
            assert!(share(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_exponent_is_a_number_that_makes_sense() {
        assert_eq!("1.0".parse(), Ok(Exponent(1.0)));
        assert_eq!("0".parse(), Ok(Exponent(0.0)));
        for text in ["", "-1", "NaN", "inf", "10.1", "one"] {
            assert!(text.parse::<Exponent>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_file_of_wallets_is_refused_with_the_line_that_is_wrong() {
        const A: &str = "01990000-0000-7000-8000-00000000000a";
        const B: &str = "01990000-0000-7000-8000-00000000000b";
        let wallets = Wallets::parsed(&format!("{A}\n\n {B}\r\n")).unwrap();
        assert_eq!(wallets.ids().len(), 2);
        for (text, named) in [
            (format!("{A}\nwallet\n"), "line 2"),
            (format!("{A}\n{B}\n{A}\n"), "line 3"),
            (String::new(), "no wallet"),
        ] {
            let said = Wallets::parsed(&text).unwrap_err();
            assert!(said.contains(named), "{said}");
        }
        assert!(Wallets::read("/nowhere/wallets").is_err());
    }
}
