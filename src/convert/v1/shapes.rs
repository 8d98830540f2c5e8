//! The documents of Agno 2, field by field: the data of the [`super::validator`].

use super::validator::Check::{
    Any, Bool, Empty, Int, ListOf, MapOf, Number, Object, Objects, ObjectsOrTexts, Of, OneOf, Present, Text, TextOrList,
    Texts,
};
use super::validator::{Check, Fields, Sources};

const fn fields(known: &'static [(&'static str, Check)]) -> Fields {
    Fields { known, required: &[], sources: Sources::Free }
}

const fn requiring(required: &'static [&'static str], known: &'static [(&'static str, Check)]) -> Fields {
    Fields { known, required, sources: Sources::Free }
}

/// `RunOutput`.
pub static AGENT_RUN: Fields = requiring(
    &["run_id", "agent_id"],
    &[
        ("run_id", Text),
        ("agent_id", Text),
        ("agent_name", Text),
        ("session_id", Text),
        ("parent_run_id", Text),
        ("workflow_id", Text),
        ("user_id", Text),
        ("input", Of(&INPUT)),
        ("content", Any),
        ("content_type", Text),
        ("reasoning_content", Text),
        ("reasoning_steps", ListOf(&REASONING_STEP)),
        ("reasoning_messages", ListOf(&MESSAGE)),
        ("model_provider_data", Object),
        ("model", Text),
        ("model_provider", Text),
        ("messages", ListOf(&MESSAGE)),
        ("metrics", Of(&RUN_METRICS)),
        ("additional_input", ListOf(&MESSAGE)),
        ("tools", ListOf(&TOOL)),
        ("images", ListOf(&IMAGE)),
        ("videos", ListOf(&VIDEO)),
        ("audio", ListOf(&AUDIO)),
        ("files", ListOf(&FILE)),
        ("response_audio", Of(&AUDIO)),
        ("citations", Of(&CITATIONS)),
        ("references", ListOf(&REFERENCE)),
        ("metadata", Object),
        ("created_at", Int),
        ("status", Text),
        ("workflow_step_id", Text),
    ],
);

/// `TeamRunOutput`.
pub static TEAM_RUN: Fields = requiring(
    &["run_id", "team_id"],
    &[
        ("run_id", Text),
        ("team_id", Text),
        ("team_name", Text),
        ("session_id", Text),
        ("parent_run_id", Text),
        ("input", Of(&INPUT)),
        ("content", Any),
        ("content_type", Text),
        ("reasoning_content", Text),
        ("reasoning_steps", ListOf(&REASONING_STEP)),
        ("reasoning_messages", ListOf(&MESSAGE)),
        ("model_provider_data", Object),
        ("model", Text),
        ("model_provider", Text),
        ("member_responses", Empty),
        ("messages", ListOf(&MESSAGE)),
        ("metrics", Of(&RUN_METRICS)),
        ("additional_input", ListOf(&MESSAGE)),
        ("tools", ListOf(&TOOL)),
        ("images", ListOf(&IMAGE)),
        ("videos", ListOf(&VIDEO)),
        ("audio", ListOf(&AUDIO)),
        ("files", ListOf(&FILE)),
        ("response_audio", Of(&AUDIO)),
        ("citations", Of(&CITATIONS)),
        ("references", ListOf(&REFERENCE)),
        ("metadata", Object),
        ("created_at", Int),
        ("status", Text),
        ("workflow_step_id", Text),
    ],
);

/// `WorkflowRunOutput`. The runs of its steps have been checked one by one.
pub static WORKFLOW_RUN: Fields = requiring(
    &["run_id"],
    &[
        ("run_id", Text),
        ("workflow_id", Text),
        ("workflow_name", Text),
        ("session_id", Text),
        ("input", Any),
        ("content", Any),
        ("content_type", Text),
        ("images", ListOf(&IMAGE)),
        ("videos", ListOf(&VIDEO)),
        ("audio", ListOf(&AUDIO)),
        ("response_audio", Of(&AUDIO)),
        ("step_results", ListOf(&STEP)),
        ("step_executor_runs", Objects),
        ("metrics", Of(&WORKFLOW_METRICS)),
        ("metadata", Object),
        ("created_at", Int),
        ("status", Text),
    ],
);

/// `StepOutput`, without files: v1 could not store those of a step, and Agno 2.0 cannot save them.
static STEP: Fields = fields(&[
    ("step_name", Text),
    ("step_id", Text),
    ("step_type", Text),
    ("executor_type", Text),
    ("executor_name", Text),
    ("content", Any),
    ("step_run_id", Text),
    ("images", ListOf(&IMAGE)),
    ("videos", ListOf(&VIDEO)),
    ("audio", ListOf(&AUDIO)),
    ("metrics", Of(&RUN_METRICS)),
    ("success", Bool),
    ("error", Text),
    ("stop", Bool),
    ("steps", ListOf(&STEP)),
]);

/// `WorkflowMetrics`.
static WORKFLOW_METRICS: Fields = requiring(&["steps"], &[("steps", MapOf(&STEP_METRICS))]);

/// `StepMetrics`.
pub static STEP_METRICS: Fields = requiring(
    &["step_name", "executor_type", "executor_name"],
    &[("step_name", Text), ("executor_type", Text), ("executor_name", Text), ("metrics", Of(&RUN_METRICS))],
);

/// `Message`.
pub static MESSAGE: Fields = requiring(
    &["role"],
    &[
        ("id", Text),
        ("role", Text),
        ("content", TextOrList),
        ("compressed_content", Text),
        ("name", Text),
        ("tool_call_id", Text),
        ("tool_calls", Objects),
        ("audio", ListOf(&AUDIO)),
        ("images", ListOf(&IMAGE)),
        ("videos", ListOf(&VIDEO)),
        ("files", ListOf(&FILE)),
        ("audio_output", Of(&AUDIO)),
        ("image_output", Of(&IMAGE)),
        ("redacted_reasoning_content", Text),
        ("provider_data", Object),
        ("citations", Of(&CITATIONS)),
        ("reasoning_content", Text),
        ("tool_name", Text),
        ("tool_args", Any),
        ("tool_call_error", Bool),
        ("stop_after_tool_call", Bool),
        ("add_to_agent_memory", Bool),
        ("from_history", Bool),
        ("metrics", Of(&MESSAGE_METRICS)),
        ("references", Of(&REFERENCE)),
        ("created_at", Int),
    ],
);

/// `ToolExecution`.
static TOOL: Fields = fields(&[
    ("tool_call_id", Text),
    ("tool_name", Text),
    ("tool_args", Object),
    ("tool_call_error", Bool),
    ("result", Any),
    ("metrics", Of(&TOOL_METRICS)),
    ("child_run_id", Text),
    ("stop_after_tool_call", Bool),
    ("created_at", Int),
    ("requires_confirmation", Bool),
    ("confirmed", Bool),
    ("confirmation_note", Text),
    ("requires_user_input", Bool),
    ("user_input_schema", ListOf(&USER_INPUT)),
    ("answered", Bool),
    ("external_execution_required", Bool),
]);

/// `UserInputField`: Agno 2.0 evaluates the type as Python, so only its own names may stand there.
static USER_INPUT: Fields = requiring(
    &["name", "field_type", "description", "value"],
    &[
        ("name", Text),
        ("field_type", OneOf(&["str", "int", "float", "bool", "list", "dict"])),
        ("description", Present),
        ("value", Present),
    ],
);

/// `RunInput`.
static INPUT: Fields = requiring(
    &["input_content"],
    &[
        ("input_content", Any),
        ("images", ListOf(&IMAGE)),
        ("videos", ListOf(&VIDEO)),
        ("audios", ListOf(&AUDIO)),
        ("files", ListOf(&FILE)),
    ],
);

const ONE_SOURCE: Sources = Sources::One(&["url", "filepath", "content"]);

/// `Image`.
pub static IMAGE: Fields = Fields {
    known: &[
        ("id", Text),
        ("url", Text),
        ("filepath", Text),
        ("content", Text),
        ("format", Text),
        ("mime_type", Text),
        ("detail", Text),
        ("original_prompt", Text),
        ("revised_prompt", Text),
        ("alt_text", Text),
    ],
    required: &[],
    sources: ONE_SOURCE,
};

/// `Audio`.
pub static AUDIO: Fields = Fields {
    known: &[
        ("id", Text),
        ("url", Text),
        ("filepath", Text),
        ("content", Text),
        ("format", Text),
        ("mime_type", Text),
        ("duration", Number),
        ("sample_rate", Int),
        ("channels", Int),
        ("transcript", Text),
        ("expires_at", Int),
    ],
    required: &[],
    sources: ONE_SOURCE,
};

/// `Video`.
pub static VIDEO: Fields = Fields {
    known: &[
        ("id", Text),
        ("url", Text),
        ("filepath", Text),
        ("content", Text),
        ("format", Text),
        ("mime_type", Text),
        ("duration", Number),
        ("width", Int),
        ("height", Int),
        ("fps", Number),
        ("eta", Text),
        ("original_prompt", Text),
        ("revised_prompt", Text),
    ],
    required: &[],
    sources: ONE_SOURCE,
};

/// `File`, with the types that Agno 2.0.11 lets pass.
pub static FILE: Fields = Fields {
    known: &[
        ("id", Text),
        ("url", Text),
        ("filepath", Text),
        ("content", Text),
        (
            "mime_type",
            OneOf(&[
                "application/pdf",
                "application/json",
                "application/x-javascript",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
                "text/javascript",
                "application/x-python",
                "text/x-python",
                "text/plain",
                "text/html",
                "text/css",
                "text/md",
                "text/csv",
                "text/xml",
                "text/rtf",
            ]),
        ),
        ("file_type", Text),
        ("filename", Text),
        ("size", Int),
        ("format", Text),
        ("name", Text),
    ],
    required: &[],
    sources: Sources::Some(&["url", "filepath", "content"]),
};

/// `ReasoningStep`.
static REASONING_STEP: Fields = fields(&[
    ("title", Text),
    ("action", Text),
    ("result", Text),
    ("reasoning", Text),
    ("next_action", OneOf(&["continue", "validate", "final_answer", "reset"])),
    ("confidence", Number),
]);

/// `MessageReferences`.
static REFERENCE: Fields = requiring(&["query"], &[("query", Text), ("references", ObjectsOrTexts), ("time", Number)]);

/// `Citations`.
static CITATIONS: Fields = fields(&[
    ("raw", Any),
    ("search_queries", Texts),
    ("urls", ListOf(&URL_CITATION)),
    ("documents", ListOf(&DOCUMENT_CITATION)),
]);

static URL_CITATION: Fields = fields(&[("url", Text), ("title", Text)]);
static DOCUMENT_CITATION: Fields = fields(&[("document_title", Text), ("cited_text", Text), ("file_name", Text)]);

/// The counts of tokens that all metrics share.
pub const COUNTS: [&str; 9] = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "audio_total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
];

/// `RunMetrics`, `Metrics` of Agno 2.0.
static RUN_METRICS: Fields = fields(&[
    ("input_tokens", Int),
    ("output_tokens", Int),
    ("total_tokens", Int),
    ("audio_input_tokens", Int),
    ("audio_output_tokens", Int),
    ("audio_total_tokens", Int),
    ("cache_read_tokens", Int),
    ("cache_write_tokens", Int),
    ("reasoning_tokens", Int),
    ("duration", Number),
    ("time_to_first_token", Number),
    ("additional_metrics", Object),
]);

/// `MessageMetrics`, `Metrics` of Agno 2.0.
static MESSAGE_METRICS: Fields = fields(&[
    ("input_tokens", Int),
    ("output_tokens", Int),
    ("total_tokens", Int),
    ("audio_input_tokens", Int),
    ("audio_output_tokens", Int),
    ("audio_total_tokens", Int),
    ("cache_read_tokens", Int),
    ("cache_write_tokens", Int),
    ("reasoning_tokens", Int),
    ("duration", Number),
    ("time_to_first_token", Number),
    ("provider_metrics", Object),
]);

/// `ToolCallMetrics`.
static TOOL_METRICS: Fields = fields(&[("duration", Number)]);

/// `SessionSummary`.
pub static SUMMARY: Fields = requiring(&["summary"], &[("summary", Text), ("topics", Texts), ("updated_at", Text)]);
