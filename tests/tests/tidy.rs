//! The repository checks itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tandem_tests::artefacts::repository;

/// The files that are in the repository, or would be with the next commit.
fn files() -> Vec<PathBuf> {
    let root = repository();
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(&root)
        .output();
    let listed = match listed {
        Ok(listed) if listed.status.success() => listed.stdout,
        // An exported tree has no history.
        _ => return walk(&root),
    };
    let names = String::from_utf8(listed).expect("names in UTF-8");
    names
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(|name| root.join(name))
        .filter(|file| file.is_file())
        .collect()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .filter(|path| !path.ends_with("target") && !path.ends_with(".git"))
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] })
        .collect()
}

/// The text files, by their path in the repository.
fn texts() -> Vec<(String, String)> {
    let root = repository();
    let text = |file: PathBuf| {
        let text = fs::read_to_string(&file).ok()?;
        Some((
            file.strip_prefix(&root).expect("a file of the repository").display().to_string(),
            text,
        ))
    };
    let texts: Vec<_> = files().into_iter().filter_map(text).collect();
    assert!(texts.len() > 100, "there is something to look at");
    texts
}

/// Lines of Rust that are code, with their numbers: comments and what stands in quotes are left out, as far as a line tells.
fn code(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(number, line)| {
        let mut kept = String::new();
        for (at, part) in line.split('"').enumerate() {
            if at % 2 == 0 {
                kept.push_str(part);
            }
        }
        let kept = kept.split("//").next().unwrap_or_default().to_owned();
        (number + 1, kept)
    })
}

fn is_rust(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension == "rs")
}

fn places(found: impl IntoIterator<Item = String>) {
    let found: Vec<_> = found.into_iter().collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn nothing_is_left_to_be_done_later() {
    // Written so that this file has none of them.
    let marks = ["TO\u{44}O", "FIX\u{4d}E", "X\u{58}X", "todo\u{21}(", "unimplemented\u{21}("];
    let mut found = Vec::new();
    for (file, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '!' || c == '('));
            let marked = words.any(|word| {
                let begin = word.split_inclusive('(').next().unwrap_or_default();
                marks.contains(&begin) || marks.contains(&begin.trim_end_matches('('))
            });
            if marked && !file.ends_with("Cargo.lock") {
                found.push(format!("{file}:{}: {line}", number + 1));
            }
        }
    }
    places(found);
}

/// The folders whose code may be unsafe: pointers of applications, vendors' functions, and tests of both.
const UNSAFE: [&str; 11] = [
    "module/src/abi/",
    "module/src/fork.rs",
    "module/src/lib.rs",
    "module/src/state/tests.rs",
    "vendor/",
    "tests/",
    "module/tests/",
    "store/tests/",
    "bench/src/module.rs",
    "conformance/src/module.rs",
    "fuzz/targets/src/wild/",
];

#[test]
fn unsafe_code_is_where_pointers_are_and_nowhere_else() {
    let keyword = "unsa\u{66}e";
    let mut found = Vec::new();
    for (file, text) in texts().into_iter().filter(|(file, _)| is_rust(file)) {
        if UNSAFE.iter().any(|allowed| file.starts_with(allowed)) {
            continue;
        }
        for (number, line) in code(&text) {
            let word = line
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .any(|word| word == keyword);
            if word && !line.trim_start().starts_with("#!") {
                found.push(format!("{file}:{number}: {line}"));
            }
        }
    }
    places(found);
    // And where it must not be, the compiler forbids it.
    for krate in ["values", "engine", "config", "store", "runtime", "opendnssec"] {
        let root =
            fs::read_to_string(repository().join(krate).join("src/lib.rs")).expect("a crate");
        assert!(root.contains("forbid(unsafe_code)"), "{krate}/src/lib.rs forbids it");
    }
}

#[test]
fn what_the_engine_decides_needs_no_clock_no_thread_and_no_file() {
    let outside = [
        "std::time::",
        "std::thread",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant::now",
    ];
    let mut found = Vec::new();
    for (file, text) in texts() {
        let inner = file.starts_with("engine/src/") || file.starts_with("values/src/");
        if !inner || !is_rust(&file) {
            continue;
        }
        for (number, line) in code(&text) {
            if outside.iter().any(|name| line.contains(name)) {
                found.push(format!("{file}:{number}: {line}"));
            }
        }
    }
    places(found);
}

#[test]
fn every_function_of_pkcs_11_has_its_row() {
    let page = fs::read_to_string(repository().join("docs/support.md")).expect("docs/support.md");
    let table =
        fs::read_to_string(repository().join("module/src/abi/table.rs")).expect("the table");
    let named: Vec<_> = table
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("C_"))
        .filter_map(|line| line.split('(').next())
        .map(|name| format!("C_{name}"))
        .collect();
    assert_eq!(named.len(), 104);
    for name in named {
        assert_eq!(
            page.matches(&format!("| {name} |")).count(),
            1,
            "{name} has one row in docs/support.md"
        );
    }
}

#[test]
fn the_repository_speaks_of_the_product_and_not_of_its_making() {
    // Words of the workshop, and hosts that only a workshop reaches. Written so that this file has none of them.
    let words = [
        "this ses\u{73}ion of wo\u{72}k",
        "previous ses\u{73}ion of",
        "\u{41}I ag\u{65}nt",
        "language mod\u{65}l",
        "\u{43}laude",
        "\u{43}hatGPT",
        "/wo\u{72}k/main",
        "/wo\u{72}k/shared",
        "founding eng\u{69}neer",
    ];
    // Packages come from where Cargo and Debian look by themselves.
    let hosts = [
        "index.crat\u{65}s.io",
        "static.crat\u{65}s.io",
        "pypi.o\u{72}g",
        "registry.np\u{6d}js",
        "proxy.gol\u{61}ng",
        "files.python\u{68}osted",
    ];
    let mut found = Vec::new();
    for (file, text) in texts().into_iter().filter(|(file, _)| !file.ends_with("Cargo.lock")) {
        for (number, line) in text.lines().enumerate() {
            if words.iter().chain(&hosts).any(|word| line.contains(word)) {
                found.push(format!("{file}:{}: {line}", number + 1));
            }
        }
    }
    places(found);
}

#[test]
fn text_files_end_with_a_line_and_have_no_blanks_at_line_ends() {
    let mut found = Vec::new();
    for (file, text) in texts() {
        let ours = ["rs", "toml", "sh", "h"].iter().any(|end| file.ends_with(&format!(".{end}")));
        if !ours {
            continue;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            found.push(format!("{file}: the last line has no end"));
        }
        for (number, line) in text.lines().enumerate() {
            if line.ends_with(' ') || line.ends_with('\t') || line.contains('\r') {
                found.push(format!("{file}:{}: a blank at its end", number + 1));
            }
        }
    }
    places(found);
}
