//! What the process says of itself.

use crate::{Outcome, on_stage};

#[test]
fn health_readiness_and_metrics_are_served() -> Outcome {
    on_stage(async |stage| {
        assert_eq!(stage.serving.get("/healthz").await?, (200, "ok".to_owned()));
        assert_eq!(stage.serving.get("/readyz").await?, (200, "ok: leading".to_owned()));
        let (status, metrics) = stage.serving.get("/metrics").await?;
        assert_eq!(status, 200);
        for line in [
            "# TYPE kurator_reconciles counter",
            "kurator_reconciles_total{kind=\"Fleet\",outcome=\"ok\"}",
            "kurator_members_alive ",
        ] {
            assert!(metrics.contains(line), "no `{line}` in\n{metrics}");
        }
        Ok(())
    })
}

#[test]
fn a_log_that_goes_to_a_file_has_no_colours() -> Outcome {
    on_stage(async |stage| {
        let log = stage.serving.log()?;
        assert!(log.contains("ready"), "{log}");
        assert!(!log.contains('\u{1b}'), "{log}");
        Ok(())
    })
}
