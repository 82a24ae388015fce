//! Settings that are read and composed, and that nothing in this program acts on: said at every start rather than passed
//! over in silence, since whoever set them counts on them.

use ringfence_model::settings::OtelExporter;
use ringfence_model::{Notice, Requirements, Settings, Sourced};

/// One notice for each kind.
pub(crate) fn notices(settings: &Settings, requirements: &Requirements) -> Vec<Notice> {
    let mut notices = Vec::new();
    if let Some(hook) = requirements.hooks.first() {
        notices.push(Notice {
            code: "no-effect".into(),
            text: "the required `[hooks]` have no effect: Ringfence runs no hooks, so what they would refuse isn't refused"
                .into(),
            origin: Some(hook.origin.clone()),
            hint: Some("`[rules]`, `deny_read` and the allowed modes and policies hold without hooks".into()),
        });
    }
    let otel = &settings.otel;
    let exporters = [
        ("otel.exporter", &otel.exporter),
        ("otel.trace_exporter", &otel.trace_exporter),
        ("otel.metrics_exporter", &otel.metrics_exporter),
    ];
    let set: Vec<(&str, &Sourced<OtelExporter>)> =
        exporters.into_iter().filter(|(_, exporter)| exporter.value != OtelExporter::None).collect();
    if let Some((_, first)) = set.first() {
        let names: Vec<String> = set.iter().map(|(name, _)| format!("`{name}`")).collect();
        let verb = if names.len() == 1 { "has" } else { "have" };
        notices.push(Notice {
            code: "no-effect".into(),
            text: format!(
                "{} {verb} no effect: Ringfence exports nothing; events are in the journal only",
                names.join(", ")
            ),
            origin: Some(first.origin.clone()),
            hint: Some("`ringfence log --json` prints them".into()),
        });
    }
    notices
}
