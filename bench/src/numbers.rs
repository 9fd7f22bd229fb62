//! The arithmetic of a benchmark: rates, ratios, medians, thirds. Pure, so that every number told can be tested.

#![expect(
    clippy::float_arithmetic,
    reason = "ratios are told to people; what is counted stays whole"
)]

use std::time::Duration;

use walletctl::format::thousands;

/// How often something happened in a second.
pub fn per_second(count: u64, span: Duration) -> u64 {
    let micros = span.as_micros().max(1);
    u64::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u64::MAX)
}

/// `a / b`; nothing when there is nothing to divide by.
pub fn ratio(a: u64, b: u64) -> Option<f64> {
    (b > 0).then(|| a as f64 / b as f64)
}

/// `value` less a share, in percent.
pub const fn percent_of(value: u64, percent: u64) -> u64 {
    value.saturating_mul(percent) / 100
}

/// The middle one, or the lower of the two in the middle.
pub fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

pub fn mean(values: &[u64]) -> Option<u64> {
    let sum: u64 = values.iter().sum();
    sum.checked_div(values.len() as u64)
}

/// The means of the first and of the last third; nothing for fewer than three values.
pub fn thirds(values: &[u64]) -> Option<(u64, u64)> {
    let third = values.len() / 3;
    if third == 0 {
        return None;
    }
    Some((
        mean(&values[..third])?,
        mean(&values[values.len() - third..])?,
    ))
}

/// Nanoseconds of CPU for one of `count`, from clock ticks.
pub fn nanos_each(ticks: u64, ticks_per_second: u64, count: u64) -> u64 {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
    u64::try_from(nanos / u128::from(count.max(1))).unwrap_or(u64::MAX)
}

/// Microseconds as `0.85 ms` or `12.3 ms`.
pub fn millis(us: u64) -> String {
    if us < 10_000 {
        format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10)
    } else {
        format!("{}.{} ms", us / 1_000, us % 1_000 / 100)
    }
}

/// `1.25×`.
pub fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}×"))
}

/// `83 %`.
pub fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.0} %", ratio * 100.0))
}

/// Bytes as `84.2 MB`.
pub fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

/// Bytes as `2,345 GB`.
pub fn gigabytes(bytes: u64) -> String {
    format!("{} GB", thousands(bytes / 1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_parts_of_a_second() {
        assert_eq!(per_second(300, Duration::from_millis(1_500)), 200);
        assert_eq!(per_second(5, Duration::ZERO), 5_000_000);
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        assert_eq!(ratio(3, 2), Some(1.5));
        assert_eq!(ratio(3, 0), None);
        assert_eq!(times(ratio(3, 2)), "1.50×");
        assert_eq!(percent(ratio(4, 5)), "80 %");
        assert_eq!(percent_of(9_999, 50), 4_999);
    }

    #[test]
    fn a_median_is_a_value_that_was_measured() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[9, 1, 5]), Some(5));
        assert_eq!(median(&[4, 1, 3, 2]), Some(2));
    }

    #[test]
    fn thirds_leave_the_middle_out() {
        assert_eq!(thirds(&[10, 20, 99, 99, 1, 3]), Some((15, 2)));
        assert_eq!(thirds(&[1, 2]), None);
        assert_eq!(thirds(&[6, 7, 8, 9]), Some((6, 9)));
    }

    #[test]
    fn cpu_is_told_for_one() {
        assert_eq!(nanos_each(100, 100, 1_000), 1_000_000);
        assert_eq!(nanos_each(1, 0, 0), 1_000_000_000);
    }

    #[test]
    fn numbers_are_told_in_units() {
        assert_eq!(millis(850), "0.85 ms");
        assert_eq!(millis(12_345), "12.3 ms");
        assert_eq!(megabytes(84_250_000), "84.2 MB");
    }
}
