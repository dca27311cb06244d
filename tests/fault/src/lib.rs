//! libtandem_fault.so: a PKCS #11 module around any other, that fails as a script says. For Tandem's tests, and for
//! operators who want to see a failover before they need one (`README.md`).

#![expect(
    clippy::disallowed_methods,
    reason = "it takes its configuration from the environment, as Tandem gives it to each member, and delays calls"
)]

mod carry;
mod damage;
pub mod exports;
mod face;
mod gate;
mod lanes;
pub mod script;
mod table;
mod wrapped;

pub use table::Function;
