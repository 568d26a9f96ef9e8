//! Entries to bits and values, and back. Entries are bytes here: whatever they mean, they come back as they were.

/// Runs `$body` with `$N` as the number of bytes of an entry of this width: 2, 4, or else 8.
macro_rules! with_width {
    ($width:expr, $N:ident => $body:expr) => {
        match $width {
            2 => {
                const $N: usize = 2;
                $body
            }
            4 => {
                const $N: usize = 4;
                $body
            }
            _ => {
                const $N: usize = 8;
                $body
            }
        }
    };
}
pub(super) use with_width;

/// The result of a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    pub bits: Vec<u8>,
    pub values: Vec<u8>,
}

/// Packs the entries of a chunk that begins at a multiple of 8.
pub(super) fn pack<const N: usize>(bytes: &[u8]) -> Packed {
    let entries = bytes.as_chunks::<N>().0;
    let mut packed = Packed {
        bits: Vec::with_capacity(entries.len().div_ceil(8)),
        values: Vec::new(),
    };
    for group in entries.chunks(8) {
        let mut byte = 0;
        for (i, entry) in group.iter().enumerate() {
            if *entry != [0; N] {
                byte |= 1 << i;
                packed.values.extend_from_slice(entry);
            }
        }
        packed.bits.push(byte);
    }
    packed
}

/// The entries of a chunk of `len`, of which the values follow each other; those that are not there are +0.0.
///
/// There are as many values as bits are set among the first `len`.
pub(super) fn unpack<const N: usize>(bits: &[u8], values: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len * N];
    let mut values = values.as_chunks::<N>().0.iter();
    for (group, byte) in bytes.as_chunks_mut::<N>().0.chunks_mut(8).zip(bits) {
        let mut byte = *byte;
        while byte != 0 {
            let i = byte.trailing_zeros() as usize;
            byte &= byte - 1;
            if let (Some(entry), Some(value)) = (group.get_mut(i), values.next()) {
                *entry = *value;
            }
        }
    }
    bytes
}

/// How many bits are set.
pub(super) fn count(bits: &[u8]) -> u64 {
    let (words, rest) = bits.as_chunks::<8>();
    let ones = words.iter().map(|word| u64::from_le_bytes(*word).count_ones());
    u64::from(ones.sum::<u32>()) + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Makes +0.0 of each −0.0, the sign bit alone.
pub(super) fn canonical<const N: usize>(bytes: &mut [u8]) {
    for entry in bytes.as_chunks_mut::<N>().0 {
        if is_negative_zero(entry) {
            *entry = [0; N];
        }
    }
}

/// How many entries are +0.0, and how many −0.0.
pub(super) fn zeros<const N: usize>(bytes: &[u8]) -> (usize, usize) {
    let entries = bytes.as_chunks::<N>().0.iter();
    entries.fold((0, 0), |(positive, negative), entry| {
        (
            positive + usize::from(*entry == [0; N]),
            negative + usize::from(is_negative_zero(entry)),
        )
    })
}

fn is_negative_zero<const N: usize>(entry: &[u8; N]) -> bool {
    let mut sign = [0; N];
    sign[N - 1] = 0x80; // little-endian
    *entry == sign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_run_from_the_lowest() {
        let entries = [1_u16, 0, 3, 0, 0, 0, 0, 8, 9, 0];
        let bytes: Vec<u8> = entries.iter().flat_map(|x| x.to_le_bytes()).collect();
        let packed = pack::<2>(&bytes);
        assert_eq!(packed.bits, [0b1000_0101, 0b1]);
        assert_eq!(packed.values, [1, 0, 3, 0, 8, 0, 9, 0]);
        assert_eq!(unpack::<2>(&packed.bits, &packed.values, 10), bytes);
        assert_eq!(count(&packed.bits), 4);
    }

    #[test]
    fn chunks_follow_each_other() {
        let bytes: Vec<u8> = (0..96_u32).flat_map(|i| (i % 3).to_le_bytes()).collect();
        let whole = pack::<4>(&bytes);
        for cut in (8..96).step_by(8) {
            let (a, b) = bytes.split_at(cut * 4);
            let (a, b) = (pack::<4>(a), pack::<4>(b));
            assert_eq!([a.bits, b.bits].concat(), whole.bits);
            assert_eq!([a.values, b.values].concat(), whole.values);
        }
    }

    #[test]
    fn only_the_sign_bit_alone_is_negative_zero() {
        let values = [0.0_f32, -0.0, f32::NAN, -f32::MIN_POSITIVE / 4.0, -1.0];
        let mut bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(zeros::<4>(&bytes), (1, 1));
        let before = bytes.clone();
        canonical::<4>(&mut bytes);
        assert_eq!(zeros::<4>(&bytes), (2, 0));
        assert_eq!((&bytes[..4], &bytes[8..]), (&before[..4], &before[8..]));
    }
}
