//! The C face of the module: the exported functions, their lists, and every read and write of the application's memory.
//!
//! `table` names each function once. The macro below makes of each row a C function, and of all rows `Function`; another
//! in [`lists`] makes the function lists. Bodies are plain functions in [`crate::api`].

#![expect(
    clippy::elidable_lifetime_names,
    clippy::needless_lifetimes,
    reason = "`Wire::decode` names what a value borrows from"
)]

mod attributes;
mod function;
pub mod lists;
mod mechanism;
mod memory;
mod parameter;
mod table;
mod template;
pub mod wire;

pub use attributes::Asked;
pub(crate) use function::OPERATIONS;
pub use parameter::RawParameter;

use crate::api::*;
use crate::guard::guard;
use std::ffi::c_void;
use tandem_engine::step::Verb::*;
use tandem_values::ck::*;
use wire::*;

macro_rules! export {
    ($($version:ident { $(
        $name:ident($($head:ident $(+ $tail:ident)?: $kind:ty),*)
            => $handler:path $([$($fixed:ident),*])?;
    )* })*) => {
        /// Every function of PKCS #11, by its name in C: for logs and for the rules of `function`.
        #[expect(non_camel_case_types, reason = "the names of C")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Function {$($(
            #[doc = concat!("`", stringify!($name), "`")]
            $name,
        )*)*}

        impl Function {
            /// All of them, in the order of the newest function list.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];
        }

        $($(
            #[doc = concat!("`", stringify!($name), "` of PKCS #11 3.2 section 5.")]
            ///
            /// # Safety
            /// The arguments are those that PKCS #11 asks for.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name(
                $($head: <$kind as Wire>::Head, $($tail: <$kind as Wire>::Tail,)?)*
            ) -> CK_RV {
                guard(Function::$name, |call| {
                    // SAFETY: the application's word for this argument.
                    $(let $head = unsafe { <$kind as Wire>::decode($head, ($($tail)?), call) }?;)*
                    call.decoded();
                    $handler($($($fixed,)*)? $($head,)*)
                })
            }
        )*)*
    };
}
table::table!(export);

#[cfg(test)]
pub(crate) mod tests;
