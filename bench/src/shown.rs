//! Numbers as people read them.

/// Nanoseconds.
pub fn time(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        ..1e6 => format!("{:.1} µs", nanos / 1e3),
        ..1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}

/// KiB.
pub fn memory(kib: f64) -> String {
    format!("{:.1} MiB", kib / 1024.0)
}

/// A ratio with as many digits as mean something.
pub fn ratio(ratio: f64) -> String {
    match ratio {
        ..0.001 => format!("{ratio:.6}"),
        ..0.1 => format!("{ratio:.4}"),
        ..100.0 => format!("{ratio:.2}"),
        _ => format!("{ratio:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_unit_that_fits_them() {
        let times = [950.0, 52_340.0, 5_250_000.0, 293e9].map(time);
        assert_eq!(times, ["950 ns", "52.3 µs", "5.25 ms", "293.00 s"]);
        assert_eq!(memory(1536.0), "1.5 MiB");
        assert_eq!(
            [0.0001, 0.05, 1.234, 1234.5].map(ratio),
            ["0.000100", "0.0500", "1.23", "1234"]
        );
    }
}
