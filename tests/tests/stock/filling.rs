//! Making keys ahead: in the background of whoever is logged in, or by an operator.

use super::{argument, back_up, done, keep, level, refused};
use std::thread;
use std::time::{Duration, Instant};
use tandem_tests::keys::Kind;
use tandem_tests::{Wanted, alone, application};

#[test]
fn an_application_that_stays_logged_in_fills_it_beside_its_own_work() {
    alone(&Wanted::mixed(), |demo| {
        keep(demo, &[("ec:p256", 5), ("generic:32", 3)]);
        let (_application, session) = application();
        let own = Kind::Aes(32).make(&session, "own").expect("a key");
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            Kind::Aes(32).work(&session, own).expect("it works meanwhile");
            let there = [level(demo, "ec:p256")[0], level(demo, "generic:32")[0]];
            if there == [5, 3] {
                break;
            }
            assert!(Instant::now() < until, "{there:?}\n{}", demo.log());
            thread::sleep(Duration::from_millis(300));
        }
        // What is claimed is made again.
        Kind::P256.make(&session, "claimed").expect("a key");
        while level(demo, "ec:p256")[0] < 5 {
            assert!(Instant::now() < until, "{}", demo.log());
            thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(level(demo, "ec:p256"), [5, 0, 0, 1]);
    });
}

#[test]
fn what_is_there_beyond_the_count_stays_until_it_is_dropped() {
    alone(&Wanted::mixed(), |demo| {
        refused(demo, &["stock", "fill"], 2, &["keeps nothing in stock"]);
        keep(demo, &[("ec:p256", 6)]);
        done(demo, &["stock", "fill"]);
        back_up(demo, "one.bundle");
        keep(demo, &[("ec:p256", 2)]);
        assert_eq!(done(demo, &["stock", "fill"])["made"], 0);
        assert_eq!(done(demo, &["stock"])["levels"][0]["surplus"], 4);
        assert_eq!(
            done(demo, &["stock", "drop", "--type", "ec:p256", "--keep", "5"])["dropped"],
            1
        );
        assert_eq!(done(demo, &["stock", "drop", "--type", "ec:p256"])["dropped"], 3);
        assert_eq!(level(demo, "ec:p256"), [2, 2, 0, 0]);
        assert_eq!(done(demo, &["verify"])["verified"], true);
        assert_eq!(
            done(demo, &["reconcile", "--plan"])["steps"].as_array().expect("steps").len(),
            0
        );
    });
}

#[test]
fn the_runway_counts_what_is_in_stock() {
    alone(&Wanted::mixed(), |demo| {
        keep(demo, &[("ec:p256", 4)]);
        demo.configure(|text| {
            let rollover = "[[token.rollover]]\nname = \"zsk\"\ntype = \"ec:p256\"\nlabel = \"zsk-*\"\nlifetime = \"90d\"\n\n";
            text.replacen("[[token.member]]", &format!("{rollover}[[token.member]]"), 1)
        });
        done(demo, &["stock", "fill"]);
        back_up(demo, "one.bundle");
        let dates = ["--every", "180d", "--json"];
        let report = demo.report(&[&["runway"], &dates[..2]].concat());
        let stock = &report["stocks"][0];
        assert_eq!(
            (stock["backed_up"].as_u64(), stock["not_backed_up"].as_u64()),
            (Some(4), Some(0))
        );
        assert!(report["notes"].to_string().contains("in stock"), "{report:#}");
        assert!(argument(demo, "one.bundle").ends_with("one.bundle"));
    });
}
