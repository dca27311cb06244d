//! `tandem keys generate` by several threads, and where a run before has ended.

use crate::common::Demo;
use serde_json::Value;
use std::collections::BTreeSet;

fn labels(report: &Value) -> Vec<String> {
    let made = report["made"].as_array().unwrap();
    made.iter().map(|made| made["label"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_run_goes_on_where_one_before_ended() {
    let demo = Demo::new();
    let generate = |more: &[&str]| {
        let same = ["keys", "generate", "--label", "zsk", "--threads", "3"];
        demo.json(&[&same[..], more].concat())
    };
    let first = generate(&["--type", "ec:p256", "--count", "5"]);
    assert_eq!(labels(&first), ["zsk-1", "zsk-2", "zsk-3", "zsk-4", "zsk-5"]);
    assert_eq!(first["there"], 0);
    let second = generate(&["--type", "ec:p256", "--count", "8", "--resume"]);
    assert_eq!(labels(&second), ["zsk-6", "zsk-7", "zsk-8"]);
    assert_eq!((&second["there"], &second["error"]), (&Value::from(5), &Value::Null));
    let third = generate(&["--type", "ec:p256", "--count", "8", "--resume"]);
    assert_eq!((labels(&third).len(), &third["there"]), (0, &Value::from(8)));
    // A key of another type is another key.
    let other = generate(&["--type", "aes:256", "--count", "2", "--resume"]);
    assert_eq!(labels(&other), ["zsk-1", "zsk-2"]);

    let keys = demo.json(&["keys"]);
    let objects = keys["objects"].as_array().unwrap();
    let ids: BTreeSet<_> = objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
    assert_eq!((objects.len(), ids.len()), (18, 10), "each key has a CKA_ID of its own");
    demo.run(&["keys", "generate", "--type", "ec:p256", "--resume"]).ends(2);
}
