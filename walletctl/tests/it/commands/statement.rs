//! Statements are saved as they come, all of them or nothing.

use super::{ALICE, run, text};
use crate::script::{Reply, Script};

#[tokio::test]
async fn a_statement_is_saved_under_its_name_as_it_came() {
    let file = std::env::temp_dir().join(format!("statement-{}", uuid::Uuid::now_v7()));
    let name = file.to_str().unwrap();
    let script = Script::start(vec![Reply::ok("number,sequence\r\n")]).await;
    let period = ["--month", "2026-10", "--time-zone", "Europe/Berlin"];
    let arguments = [&["statement", ALICE][..], &period, &["-o", name]].concat();
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        script.asked()[0].line,
        format!(
            "GET /wallets/{ALICE}/statement?format=csv&month=2026-10&time_zone=Europe%2FBerlin HTTP/1.1"
        )
    );
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "number,sequence\r\n"
    );
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn a_statement_goes_to_standard_output_without_a_name_or_under_a_dash() {
    for output in [&[][..], &["-o", "-"]] {
        let script = Script::start(vec![Reply::ok("number,sequence\r\n")]).await;
        let arguments = [&["statement", ALICE, "--month", "2026-10"][..], output].concat();
        let output = run(&script, &arguments).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "number,sequence\r\n");
    }
    assert!(!std::path::Path::new("-").exists());
}

#[tokio::test]
async fn of_a_statement_that_is_refused_or_breaks_off_nothing_is_saved() {
    let file = std::env::temp_dir().join(format!("statement-{}", uuid::Uuid::now_v7()));
    let name = file.to_str().unwrap();
    for reply in [
        Reply::problem(400, "period_reversed", "to: must be after from"),
        Reply::HangUp,
    ] {
        let script = Script::start(vec![reply]).await;
        let period = ["--from", "2026-10-02", "--to", "2026-10-01"];
        let arguments = [&["statement", ALICE][..], &period, &["-o", name]].concat();
        let output = run(&script, &arguments).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(!file.exists() && !file.with_extension("part").exists());
    }
}

#[tokio::test]
async fn who_sends_nothing_is_named_with_how_long_it_was_waited_for() {
    let script = Script::start(vec![Reply::Silence]).await;
    let arguments = [
        "--timeout-ms",
        "300",
        "statement",
        ALICE,
        "--month",
        "2026-10",
    ];
    let output = run(&script, &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let expected = format!(
        "{}/wallets/{ALICE}/statement sent nothing for 300ms",
        script.url
    );
    assert!(said.contains(&expected), "{said}");
}

#[tokio::test]
async fn programs_get_json_and_a_form_that_is_named_is_that_form() {
    for (more, format) in [
        (&["--json"][..], "json"),
        (&["--json", "--format", "camt053"], "camt053"),
    ] {
        let script = Script::start(vec![Reply::ok("{}")]).await;
        let arguments = [&["statement", ALICE, "--month", "2026-10"][..], more].concat();
        let output = run(&script, &arguments).await;
        assert_eq!(text(&output.stdout), "{}");
        assert!(
            script.asked()[0]
                .line
                .contains(&format!("?format={format}&month=2026-10"))
        );
    }
}
