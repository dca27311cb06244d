//! How the module is linked.

fn main() {
    // It keeps threads, thread-locals and fork handlers: once loaded it stays loaded.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Its function lists name its own functions, whatever else in the process is called C_Sign.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-Bsymbolic-functions");
    println!("cargo::rerun-if-changed=build.rs");
}
