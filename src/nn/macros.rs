//! [`param_tree!`](crate::param_tree): [`ParamTree`](super::ParamTree) for a struct.

/// Implements [`ParamTree`](crate::nn::ParamTree) for a struct. Name the field that holds its
/// [`ParamStore`](crate::nn::ParamStore), if it has one, and the fields that are children.
///
/// ```
/// use secateurs::nn::{Linear, ParamStore};
///
/// struct Residual {
///     own: ParamStore,
///     inner: Linear,
/// }
///
/// secateurs::param_tree!(Residual { store: own, children: [inner] });
/// ```
///
/// Either part may be omitted: `param_tree!(Block { children: [a, b] })`, `param_tree!(Scale { store: params })`.
///
/// Name fields of a tuple struct by their index, and put generic parameters into `for[…]`:
///
/// ```
/// use secateurs::nn::{Linear, ParamTree};
///
/// struct Pair(Linear, Linear);
///
/// secateurs::param_tree!(Pair { children: [0, 1] });
///
/// struct Stack<T, const N: usize> {
///     first: T,
///     rest: Vec<T>,
/// }
///
/// secateurs::param_tree!(for[T: ParamTree, const N: usize] Stack<T, N> { children: [first, rest] });
/// ```
#[macro_export]
macro_rules! param_tree {
    (for[$($generics:tt)*] $type:ty {
        store: $store:tt $(, children: [$($child:tt),* $(,)?])? $(,)?
    }) => {
        impl<$($generics)*> $crate::nn::ParamTree for $type {
            fn store(&self) -> ::core::option::Option<&$crate::nn::ParamStore> {
                ::core::option::Option::Some(&self.$store)
            }

            fn store_mut(&mut self) -> ::core::option::Option<&mut $crate::nn::ParamStore> {
                ::core::option::Option::Some(&mut self.$store)
            }

            $($crate::param_tree!(@children $($child)*);)?
        }
    };
    (for[$($generics:tt)*] $type:ty { children: [$($child:tt),* $(,)?] $(,)? }) => {
        impl<$($generics)*> $crate::nn::ParamTree for $type {
            $crate::param_tree!(@children $($child)*);
        }
    };
    (@children $($child:tt)*) => {
        fn child_names(&self) -> ::std::vec::Vec<::std::string::String> {
            ::std::vec![$(::std::string::String::from(stringify!($child))),*]
        }

        fn child(&self, name: &str) -> ::core::option::Option<&dyn $crate::nn::ParamTree> {
            let _ = name; // where there are no children
            $(
                if name == stringify!($child) {
                    return ::core::option::Option::Some(&self.$child);
                }
            )*
            ::core::option::Option::None
        }

        fn child_mut(&mut self, name: &str) -> ::core::option::Option<&mut dyn $crate::nn::ParamTree> {
            let _ = name; // where there are no children
            $(
                if name == stringify!($child) {
                    return ::core::option::Option::Some(&mut self.$child);
                }
            )*
            ::core::option::Option::None
        }
    };
    ($type:ty { $($fields:tt)* }) => {
        $crate::param_tree!(for[] $type { $($fields)* });
    };
}
