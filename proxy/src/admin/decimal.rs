//! Numbers of any length, as documents write them.

/// Hexadecimal digits, with colons or without, as a decimal number.
pub(super) fn decimal(hex: &str) -> String {
    // The lowest digit first.
    let mut digits = vec![0_u32];
    for digit in hex.chars().filter_map(|c| c.to_digit(16)) {
        let mut carry = digit;
        for place in &mut digits {
            let value = *place * 16 + carry;
            *place = value % 10;
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().filter_map(|digit| char::from_digit(*digit, 10)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long() {
        for (hex, expect) in [
            ("0", "0"),
            ("ff", "255"),
            ("00:ff", "255"),
            ("ffffffffffffffffffffffffffffffff", "340282366920938463463374607431768211455"),
            ("0100000000000000000000000000000000", "340282366920938463463374607431768211456"),
        ] {
            assert_eq!(decimal(hex), expect);
        }
    }
}
