//! The Mersenne Twister of 32 bits (MT19937): for orders that others draw in the same way.

const N: usize = 624;
const M: usize = 397;

pub(super) struct Twister {
    state: [u32; N],
    at: usize,
}

impl Twister {
    /// Seeded by the lower half.
    pub(super) fn new(seed: u64) -> Self {
        let [a, b, c, d, ..] = seed.to_le_bytes();
        let mut state = [u32::from_le_bytes([a, b, c, d]); N];
        for at in 1..N {
            let before = state[at - 1];
            let index = u32::try_from(at).unwrap_or(0);
            state[at] = (before ^ before >> 30).wrapping_mul(1_812_433_253).wrapping_add(index);
        }
        Self { state, at: N }
    }

    /// A number below `most`, each as likely.
    pub(super) fn below(&mut self, most: u32) -> u32 {
        let width = (1_u64 << 32) / u64::from(most.max(1));
        loop {
            let drawn = u64::from(self.next()) / width;
            if let Ok(drawn) = u32::try_from(drawn)
                && drawn < most.max(1)
            {
                return drawn;
            }
        }
    }

    fn next(&mut self) -> u32 {
        if self.at == N {
            self.twist();
        }
        let mut word = self.state[self.at];
        self.at += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    fn twist(&mut self) {
        for at in 0..N {
            let mixed = self.state[at] & 0x8000_0000 | self.state[(at + 1) % N] & 0x7fff_ffff;
            let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + M) % N] ^ mixed >> 1 ^ odd;
        }
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Twister;

    /// The number that the standard of C++ names.
    #[test]
    fn the_ten_thousandth_number_is_known() {
        let mut random = Twister::new(5489);
        let last = (0..10_000).map(|_| random.next()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
