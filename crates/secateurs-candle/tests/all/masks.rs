//! The same weights get the same masks, wherever they live.

use secateurs::testing;
use secateurs_candle::{CandleModel, to_array};

use super::prunable::var_map;

#[test]
fn masks_are_those_of_arrays() {
    let (candle, arrays) = testing::check_masks(|arrays| CandleModel::new(&var_map(arrays)));
    for name in arrays.names() {
        // The variable holds what an array model computes with.
        let effective = arrays.effective(name).unwrap();
        assert_eq!(to_array(candle.var(name).unwrap()).unwrap(), effective, "{name}");
    }
}
