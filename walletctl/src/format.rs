//! Numbers as people read them: digits in groups, durations in the unit that fits.

use indicatif::HumanCount;

/// `12,345`.
pub fn thousands(value: u64) -> String {
    HumanCount(value).to_string()
}

/// `1 wallet`, `2 wallets`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        thousands(count),
        if count == 1 { one } else { many }
    )
}

/// `3 events of 1 wallet`.
pub fn events_of_wallets(events: u64, wallets: u64) -> String {
    let events = counted(events, "event", "events");
    format!("{events} of {}", counted(wallets, "wallet", "wallets"))
}

/// `850 µs`, `12.3 ms`, `4.56 s`.
pub fn duration_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

/// Bytes as `84.2 MB` or `16.1 GB`.
pub fn bytes(bytes: u64) -> String {
    let (unit, name) = if bytes < 1_000_000_000 {
        (1_000_000, "MB")
    } else {
        (1_000_000_000, "GB")
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(0, "wallet", "wallets"), "0 wallets");
        assert_eq!(counted(1, "wallet", "wallets"), "1 wallet");
        assert_eq!(counted(1_200, "wallet", "wallets"), "1,200 wallets");
        assert_eq!(events_of_wallets(1, 2), "1 event of 2 wallets");
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        assert_eq!(bytes(84_250_000), "84.2 MB");
        assert_eq!(bytes(16_190_000_000), "16.1 GB");
    }

    #[test]
    fn a_duration_is_told_in_the_unit_that_fits() {
        assert_eq!(duration_us(850), "850 µs");
        assert_eq!(duration_us(12_345), "12.3 ms");
        assert_eq!(duration_us(4_567_890), "4.56 s");
    }
}
