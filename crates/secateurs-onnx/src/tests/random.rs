//! Random networks.

use proptest::prelude::*;

use super::builder::Builder;
use crate::{Error, Options, shrink};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 2000 }))]

    /// Random chains and joins of random layers: the smaller model computes what the masked one does.
    #[test]
    fn random_networks_are_shrunk_exactly(steps in steps(), seed in any::<u64>(), share in 0.1..0.9) {
        let model = random_network(&steps, seed, |b, from, to, widths, _| { b.conv(from, to, widths); });
        shrink_random(&model, share)?;
    }
}

/// What a layer is, how wide, and what it reads.
pub type Step = (u8, usize, u8);

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0..7_u8, 1..4_usize, any::<u8>()), 1..7)
}

/// A network of these layers, whose convolutions are added by `conv`, which is given a number to choose by.
pub fn random_network(
    steps: &[Step],
    seed: u64,
    conv: impl Fn(&mut Builder, &str, &str, (usize, usize, usize), u8),
) -> Vec<u8> {
    let mut b = Builder::new();
    b.state = seed;
    b.input("x", &[2, 3, 5, 5]);
    let mut values = vec![("x".to_owned(), 3_usize)];
    for (number, (kind, width, which)) in steps.iter().copied().enumerate() {
        let (from, channels) = values[which as usize % values.len()].clone();
        let to = format!("v{number}");
        let out = match kind {
            0 | 1 => {
                conv(&mut b, &from, &to, (channels, 4 * width, 1), which);
                4 * width
            }
            2 => {
                conv(&mut b, &from, &to, (channels, channels, channels), which);
                channels
            }
            3 => {
                b.norm(&from, &to, channels);
                channels
            }
            4 => {
                b.node(["Relu", "Sigmoid", "Tanh"][width - 1], &[&from], &to, &[]);
                channels
            }
            5 => {
                let (other, more) = values[which as usize / 2 % values.len()].clone();
                b.node("Concat", &[&from, &other], &to, &[("axis", &[1])]);
                channels + more
            }
            _ => {
                let same: Vec<_> = values
                    .iter()
                    .filter(|value| value.1 == channels)
                    .cloned()
                    .collect();
                let other = same[which as usize % same.len()].0.clone();
                b.node(["Add", "Mul", "Sub"][width - 1], &[&from, &other], &to, &[]);
                channels
            }
        };
        values.push((to, out));
    }
    let (last, channels) = values.last().unwrap().clone();
    conv(&mut b, &last, "head", (channels, 2, 1), seed as u8);
    b.node("GlobalAveragePool", &["head"], "y", &[]).output("y");
    b.model()
}

/// Removes a share of the channels of a network, which is verified, unless all are held.
pub fn shrink_random(model: &[u8], share: f64) -> Result<(), TestCaseError> {
    match shrink(model, &Options::new(share).unwrap().round_to(1)) {
        Ok(smaller) => prop_assert!(smaller.report.removed() > 0),
        Err(Error::NothingToRemove { .. }) => {}
        Err(error) => prop_assert!(false, "{}", error),
    }
    Ok(())
}
