//! What a route is for and how it answers, said where the route is: what cannot be told from its handler's arguments.

use std::{fmt, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::{problem::Code, server::request::describe::Shape};

/// See the module. Every route has one.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its name in clients that are generated, as `createWallet`. No two routes share one.
    pub(super) id: &'static str,
    /// One line without its full stop.
    pub(super) summary: &'static str,
    pub(super) answers: Vec<Answer>,
    /// How it refuses, besides what its arguments and the edge do.
    pub(super) codes: Vec<Code>,
    pub(super) body: Option<BodyShape>,
    /// A whole body as callers send it.
    pub(super) example: Option<Value>,
}

/// What a body looks like, made when it is asked for.
#[derive(Clone)]
pub(super) struct BodyShape(pub(super) Arc<dyn Fn() -> Shape + Send + Sync>);

impl fmt::Debug for BodyShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyShape")
    }
}

/// One good answer, or a report that is no problem body.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) says: &'static str,
    pub(super) media_type: &'static str,
    /// None for an answer without a body.
    pub(super) schema: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub(super) headers: Vec<&'static AnswerHeader>,
}

/// A header of an answer.
#[derive(Debug)]
pub struct AnswerHeader {
    pub name: &'static str,
    pub says: &'static str,
    pub is_always_there: bool,
}

impl Operation {
    pub const fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            answers: Vec::new(),
            codes: Vec::new(),
            body: None,
            example: None,
        }
    }

    /// An answer whose body is a `T`.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: u16, says: &'static str) -> Self {
        let schema = SchemaGenerator::subschema_for::<T>;
        self.with(status, says, "application/json", Some(schema))
    }

    /// An answer whose body is a text.
    #[must_use]
    pub fn answers_text(self, media_type: &'static str, says: &'static str) -> Self {
        let schema = SchemaGenerator::subschema_for::<String>;
        self.with(200, says, media_type, Some(schema))
    }

    /// An answer without a body.
    #[must_use]
    pub fn answers_nothing(self, status: u16, says: &'static str) -> Self {
        self.with(status, says, "", None)
    }

    fn with(
        mut self,
        status: u16,
        says: &'static str,
        media_type: &'static str,
        schema: Option<fn(&mut SchemaGenerator) -> Schema>,
    ) -> Self {
        self.answers.push(Answer {
            status,
            says,
            media_type,
            schema,
            headers: Vec::new(),
        });
        self
    }

    /// A header of the answer that was said last.
    #[must_use]
    pub fn with_header(mut self, header: &'static AnswerHeader) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push(header);
        }
        self
    }

    /// Codes it refuses with, besides those of its arguments and of the edge.
    #[must_use]
    pub fn refuses(mut self, codes: &[Code]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// What its body looks like, where the handler's arguments do not say.
    #[must_use]
    pub fn reads(mut self, body: impl Fn() -> Shape + Send + Sync + 'static) -> Self {
        self.body = Some(BodyShape(Arc::new(body)));
        self
    }

    /// A whole body as callers send it: the usual one, where several would do. Every operation with a body has one.
    #[must_use]
    pub fn for_example(mut self, body: Value) -> Self {
        self.example = Some(body);
        self
    }
}
