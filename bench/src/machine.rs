//! On what it was measured, and when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs;

/// Where and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    /// The day, in UTC.
    pub(crate) date: String,
    /// Processor, cores, memory, kernel.
    pub(crate) machine: String,
}

impl Circumstances {
    /// Here and now.
    pub(crate) fn now() -> Self {
        let date = Timestamp::now().strftime("%Y-%m-%d").to_string();
        let processor = processor(&text("/proc/cpuinfo"));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = gibibytes(&text("/proc/meminfo"));
        let kernel = text("/proc/sys/kernel/osrelease");
        let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        let machine = format!("{processor}, {cores}, {memory}, Linux {}", kernel.trim());
        Self { date, machine }
    }
}

fn text(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn processor(cpuinfo: &str) -> String {
    let named =
        |line: &str| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned());
    cpuinfo.lines().find_map(named).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// All memory, rounded up: the kernel keeps some for itself.
fn gibibytes(meminfo: &str) -> String {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or_else(|| "memory not known".into(), |kib| format!("{} GiB", kib.div_ceil(1 << 20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_by_what_its_kernel_says() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some Processor 3000\n";
        assert_eq!(processor(cpuinfo), "Some Processor 3000");
        assert_eq!(processor(""), std::env::consts::ARCH);
        assert_eq!(gibibytes("MemTotal:       24548220 kB\nMemFree: 1 kB\n"), "24 GiB");
    }
}
