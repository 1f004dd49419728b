//! Rules for volumes: refused where Velero refuses them, and otherwise of no use here.

use super::raw::VolumeRule;
use super::{PolicyError, at};

/// What Velero can do with a volume.
const ACTIONS: [&str; 4] = ["skip", "snapshot", "fs-backup", "custom"];
/// Digits of a quantity behind the point that count; those of a nano.
const SCALE: u32 = 9;

pub(super) fn check(path: &str, rule: &VolumeRule) -> Result<(), PolicyError> {
    let VolumeRule { conditions, action } = rule;
    if !ACTIONS.contains(&action.kind.as_str()) {
        return Err(at(
            format_args!("{path}.action.type"),
            format_args!("invalid action type `{}`: take one of {}", action.kind, ACTIONS.join(", ")),
        ));
    }
    let Some(conditions) = conditions else { return Ok(()) };
    if let Some(csi) = &conditions.csi
        && csi.driver.as_deref().unwrap_or_default().is_empty()
        && csi.attributes.is_some()
    {
        return Err(at(
            format_args!("{path}.conditions.csi"),
            "csi driver should not be empty when filtering by volume attributes",
        ));
    }
    if let Some(capacity) = conditions.capacity.as_deref().filter(|capacity| !capacity.is_empty()) {
        check_capacity(capacity).map_err(|why| {
            at(
                format_args!("{path}.conditions.capacity"),
                format_args!("wrong format of Capacity `{capacity}`: {why}"),
            )
        })?;
    }
    Ok(())
}

/// `lower,upper`; one of them may be empty.
fn check_capacity(text: &str) -> Result<(), &'static str> {
    let mut bounds = text.split(',').map(str::trim);
    let (Some(lower), Some(upper), None) = (bounds.next(), bounds.next(), bounds.next()) else {
        return Err("write two quantities and a comma between them, such as `1Gi,10Gi` or `10Gi,`");
    };
    let bound = |text: &str| {
        if text.is_empty() { Some(0) } else { quantity(text) }
            .ok_or("a bound is not a quantity, such as `10Gi`")
    };
    let (lower, upper) = (bound(lower)?, bound(upper)?);
    // As Velero: an upper bound of zero is none.
    if upper >= lower || lower != 0 && upper == 0 {
        Ok(())
    } else {
        Err("the upper bound is below the lower one")
    }
}

/// A Kubernetes quantity in nanos, at most 2^96 or so; beyond that all are alike.
fn quantity(text: &str) -> Option<i128> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let (factor, power) = multiplier(suffix)?;
    let digits = |text: &str| {
        text.bytes()
            .fold(0_i128, |value, digit| value.saturating_mul(10).saturating_add(i128::from(digit - b'0')))
    };
    let fraction = &fraction[..fraction.len().min(SCALE as usize)];
    let places = u32::try_from(fraction.len()).ok()?;
    let nanos = digits(whole)
        .saturating_mul(10_i128.pow(SCALE))
        .saturating_add(digits(fraction).saturating_mul(10_i128.pow(SCALE - places)));
    let scaled = if power < 0 {
        nanos / 10_i128.checked_pow(power.unsigned_abs()).unwrap_or(i128::MAX)
    } else {
        nanos.saturating_mul(10_i128.checked_pow(power.unsigned_abs()).unwrap_or(i128::MAX))
    };
    Some(scaled.saturating_mul(factor).saturating_mul(sign))
}

/// What a suffix multiplies by: a number, and a power of ten.
fn multiplier(suffix: &str) -> Option<(i128, i32)> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(at) = binary.iter().position(|known| *known == suffix) {
        return Some((1_i128 << (10 * (at + 1)), 0));
    }
    let decimal = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        exponent => exponent.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?.clamp(-100, 100),
    };
    Some((1, decimal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_two_quantities_in_order() {
        for right in
            ["1Gi,10Gi", "0,5", "10Gi,", ",10Gi", " 1k , 1M ", "1e3,1E4", "0.5,500m", "1.5Gi,2Gi", ","]
        {
            assert_eq!(check_capacity(right), Ok(()), "{right}");
        }
        for wrong in ["10Gi", "1,2,3", "x,", "1Gib,", "1.2.3,", "2Gi,1Gi", "1e3,1e2", "1,2m", "e3,"] {
            assert!(check_capacity(wrong).is_err(), "{wrong}");
        }
    }
}
