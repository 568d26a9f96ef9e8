//! S1 and S2: what an amount is, and how many units it comes to.

use proptest::prelude::*;
use secateurs::Error;
use secateurs::error::AmountError;
use secateurs::mask::{Amount, L1Unstructured, LnStructured};

// S1: types that never mix. That text and `f32` are refused at compile time, doctests of `Amount` show; here for
// every way in.
static_assertions::assert_not_impl_any!(f32: TryInto<Amount>);
static_assertions::assert_not_impl_any!(bool: TryInto<Amount>);
static_assertions::assert_not_impl_any!(&'static str: TryInto<Amount>);
static_assertions::assert_not_impl_any!(String: TryInto<Amount>);

#[test]
fn counts_of_every_integer_type() {
    macro_rules! check {
        ($($integer:ty)*) => {$(
            assert_eq!(Amount::try_from(12 as $integer).unwrap(), Amount::count(12), stringify!($integer));
            assert_eq!(Amount::try_from(0 as $integer).unwrap(), Amount::count(0), stringify!($integer));
        )*};
    }
    check!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);
}

#[test]
fn negative_counts_are_refused_by_an_error_that_shows_them() {
    macro_rules! check {
        ($($integer:ty)*) => {$(
            for negative in [-1, -7, <$integer>::MIN] {
                let error = Amount::try_from(negative).unwrap_err();
                assert!(matches!(error, Error::Amount(AmountError::NegativeCount { value }) if value == negative as i128));
                assert!(error.to_string().contains(&negative.to_string()), "{error}");
            }
        )*};
    }
    check!(i8 i16 i32 i64 i128 isize);
}

#[test]
fn enormous_counts_are_refused_when_used() {
    for amount in [
        Amount::try_from(u128::MAX),
        Amount::try_from(i128::MAX),
        Amount::try_from(usize::MAX),
    ] {
        let error = amount.unwrap().units(9, 9).unwrap_err();
        assert!(
            matches!(error, Error::Amount(AmountError::TooLarge { remaining: 9, .. })),
            "{error:?}"
        );
    }
    let beyond_i128 = "340282366920938463463374607431768211455".parse::<Amount>();
    assert!(beyond_i128.is_err(), "never taken for something smaller");
}

#[test]
fn shares_outside_0_to_1_are_refused_by_an_error_that_shows_them() {
    for value in [
        -0.1,
        1.5,
        1.0 + f64::EPSILON,
        -f64::MIN_POSITIVE,
        20.0,
        f64::INFINITY,
        -f64::INFINITY,
        f64::NAN,
    ] {
        for error in [
            Amount::try_from(value).unwrap_err(),
            Amount::fraction(value).unwrap_err(),
            Amount::until(value).unwrap_err(),
            L1Unstructured::new(value).unwrap_err(),
            LnStructured::new(value, 2, 0).unwrap_err(),
        ] {
            assert!(error.to_string().contains(&value.to_string()), "{error}");
            let Error::Amount(AmountError::FractionOutOfRange { value: shown }) = error else {
                panic!("{error:?}")
            };
            assert_eq!(shown.to_bits(), value.to_bits());
        }
    }
}

#[test]
fn shares_from_0_to_1_are_accepted() {
    for value in [0.0, -0.0, 1.0, 0.5, f64::MIN_POSITIVE, 1.0 - f64::EPSILON] {
        assert_eq!(Amount::try_from(value).unwrap(), Amount::fraction(value).unwrap());
        Amount::until(value).unwrap();
    }
    assert_eq!(Amount::fraction(-0.0).unwrap().to_string(), "0.0");
    assert_eq!(Amount::until(-0.0).unwrap().to_string(), "until 0.0");
}

#[test]
fn one_is_a_unit_and_one_point_zero_is_everything() {
    assert_ne!(Amount::try_from(1).unwrap(), Amount::try_from(1.0).unwrap());
    assert_eq!(Amount::try_from(1).unwrap().units(10, 10).unwrap(), 1);
    assert_eq!(Amount::try_from(1.0).unwrap().units(10, 10).unwrap(), 10);
    assert_ne!(Amount::fraction(0.5).unwrap(), Amount::until(0.5).unwrap());
}

#[test]
#[rustfmt::skip]
fn rounding_table() {
    // S2: to the nearest, halves to the even.
    for (fraction, units, expected) in [
        (0.4,  17, 7),  // 6.8
        (0.5,  5,  2),  // 2.5
        (0.25, 10, 2),  // 2.5
        (0.5,  7,  4),  // 3.5
        (0.5,  1,  0),
        (0.5,  3,  2),  // 1.5
        (0.75, 2,  2),  // 1.5
        (0.3,  10, 3),
        (0.1,  4,  0),
        (0.9,  4,  4),  // 3.6
        (0.0,  9,  0),
        (1.0,  9,  9),
        (1e-9, 9,  0),
        (0.9999999999, 9, 9),
        (0.7,  0,  0),
    ] {
        let amount = Amount::fraction(fraction).unwrap();
        assert_eq!(amount.units(units, units).unwrap(), expected, "{fraction} of {units}");
        // A fraction is relative to what remains, a target share to all.
        assert_eq!(amount.units(units, units + 100).unwrap(), expected, "{fraction} of {units}");
        let until = Amount::until(fraction).unwrap();
        assert_eq!(until.units(units, units).unwrap(), expected, "until {fraction} of {units}");
    }
}

#[test]
#[rustfmt::skip]
fn until_table() {
    // S1: as many as are missing to the share of all; none if that many are pruned already.
    for (sparsity, remaining, all, expected) in [
        (0.7, 60,  100, 30),
        (0.7, 100, 100, 70),
        (0.7, 30,  100, 0),
        (0.7, 29,  100, 0),
        (0.7, 0,   100, 0),
        (0.0, 60,  100, 0),
        (1.0, 60,  100, 60),
        (0.5, 5,   5,   2), // 2.5
        (0.5, 4,   5,   1),
        (0.5, 7,   7,   4), // 3.5
        (0.9, 0,   0,   0),
    ] {
        let amount = Amount::until(sparsity).unwrap();
        assert_eq!(amount.units(remaining, all).unwrap(), expected, "{amount} with {remaining} of {all} remaining");
    }
}

#[test]
fn a_count_above_the_remaining_units_is_an_error_naming_both() {
    let error = Amount::count(7).units(5, 100).unwrap_err();
    assert!(matches!(
        error,
        Error::Amount(AmountError::TooLarge {
            requested: 7,
            remaining: 5
        })
    ));
    assert!(
        error.to_string().contains('7') && error.to_string().contains('5'),
        "{error}"
    );
    assert_eq!(Amount::count(5).units(5, 100).unwrap(), 5);
    assert!(Amount::count(1).units(0, 0).is_err());
}

#[test]
fn amounts_as_text() {
    for (text, expected) in [
        ("0.5", Amount::fraction(0.5)),
        ("50%", Amount::fraction(0.5)),
        ("50 %", Amount::fraction(0.5)),
        ("12", Ok(Amount::count(12))),
        ("+12", Ok(Amount::count(12))),
        (" 12 ", Ok(Amount::count(12))),
        ("0", Ok(Amount::count(0))),
        ("1", Ok(Amount::count(1))),
        ("1.0", Amount::fraction(1.0)),
        ("1e-3", Amount::fraction(0.001)),
        (".5", Amount::fraction(0.5)),
        ("7%", Amount::fraction(0.07)),
        ("99.5%", Amount::fraction(0.995)),
        ("100%", Amount::fraction(1.0)),
        ("0%", Amount::fraction(0.0)),
        ("until 90%", Amount::until(0.9)),
        ("until 0.9", Amount::until(0.9)),
        ("until  1", Amount::until(1.0)),
    ] {
        assert_eq!(text.parse::<Amount>().unwrap(), expected.unwrap(), "{text}");
    }
}

#[test]
fn invalid_text() {
    for text in [
        "",
        " ",
        "half",
        "50%%",
        "%",
        "0,5",
        "1 2",
        "until",
        "until ",
        "until half",
        "untilled",
        "0x10",
        "--1",
    ] {
        let error = text.parse::<Amount>().unwrap_err();
        assert!(
            matches!(&error, Error::Amount(AmountError::Syntax { text: shown }) if shown == text),
            "{text}: {error:?}"
        );
        assert!(error.to_string().contains(text), "{error}");
    }
    for text in [
        "1.5",
        "-0.5",
        "150%",
        "-1%",
        "nan",
        "inf",
        "until 1.5",
        "until 90",
        "until -1%",
    ] {
        let error = text.parse::<Amount>().unwrap_err();
        assert!(
            matches!(error, Error::Amount(AmountError::FractionOutOfRange { .. })),
            "{text}: {error:?}"
        );
    }
    assert!(matches!(
        "-3".parse::<Amount>(),
        Err(Error::Amount(AmountError::NegativeCount { value: -3 }))
    ));
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        (0.0..=1.0).prop_map(|fraction| Amount::fraction(fraction).unwrap()),
        (0.0..=1e-6).prop_map(|fraction| Amount::fraction(fraction).unwrap()),
        any::<usize>().prop_map(Amount::count),
        (0.0..=1.0).prop_map(|sparsity| Amount::until(sparsity).unwrap()),
    ]
}

/// S2 spelt out: the integer part, and one more where the rest is above a half, or a half and that is even.
fn round(x: f64) -> usize {
    let floor = x.floor();
    let rest = x - floor;
    let up = rest > 0.5 || rest == 0.5 && floor % 2.0 == 1.0;
    floor as usize + usize::from(up)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn text_round_trip(amount in amount()) {
        prop_assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount);
    }

    #[test]
    fn parsing_never_panics(text in "[-+.0-9eE%untilnaf ]{0,12}") {
        if let Ok(amount) = text.parse::<Amount>() {
            prop_assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount);
        }
    }

    #[test]
    fn fractions_round_half_to_even(fraction in 0.0..=1.0, eighths in 0..=8, remaining in 0_usize..5_000, gone in 0_usize..100) {
        for fraction in [fraction, f64::from(eighths) / 8.0] {
            let amount = Amount::fraction(fraction).unwrap();
            prop_assert_eq!(amount.units(remaining, remaining + gone).unwrap(), round(fraction * remaining as f64));
        }
    }

    #[test]
    fn counts_are_exact(count in 0_usize..50, remaining in 0_usize..50, gone in 0_usize..50) {
        match Amount::count(count).units(remaining, remaining + gone) {
            Ok(units) => prop_assert!(units == count && count <= remaining),
            Err(Error::Amount(AmountError::TooLarge { requested, remaining: shown })) => {
                prop_assert!(requested == count && shown == remaining && count > remaining)
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn until_prunes_to_the_share_and_no_further(sparsity in 0.0..=1.0, eighths in 0..=8, remaining in 0_usize..500, gone in 0_usize..500) {
        for sparsity in [sparsity, f64::from(eighths) / 8.0] {
            let (amount, all) = (Amount::until(sparsity).unwrap(), remaining + gone);
            let units = amount.units(remaining, all).unwrap();
            let wanted = round(sparsity * all as f64);
            prop_assert_eq!(gone + units, wanted.max(gone));
            // Once there, it prunes nothing more.
            prop_assert_eq!(amount.units(remaining - units, all).unwrap(), 0);
        }
    }
}
