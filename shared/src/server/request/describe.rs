//! What a request may hold, told by the code that reads it.
//!
//! A reader is asked with a [`Value`] that is none: it says what it reads, and ends. So the same lines read a field and
//! describe it, and a description cannot be of something else than what is read. Nothing here runs while requests are read.

use std::{cell::RefCell, collections::BTreeSet, ops::RangeInclusive};

use axum::{extract::State, http::HeaderMap};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value as Json, json};

use super::{
    extract::{
        InPath, JsonBody, JsonFields, PATH_NUMBERS, PathId, PathNumber, PathPair, PathValue,
        QueryParams,
    },
    fields::{Fields, FromFields},
    parse::{Origin, Value},
    text_map::TextMapLimits,
};
use crate::{
    problem::Code,
    server::{
        auth::Principal,
        headers::{IfMatch, LastEventId},
    },
};

/// What one value looks like, and how it may be refused.
pub struct Shape {
    schema: Box<dyn FnOnce(&mut SchemaGenerator) -> Schema + Send>,
    pub codes: BTreeSet<Code>,
}

impl Shape {
    /// A value that looks like a `T`.
    pub fn of<T: JsonSchema + ?Sized + 'static>(codes: &[Code]) -> Self {
        Self::made(codes, SchemaGenerator::subschema_for::<T>)
    }

    /// A value with a schema of its own.
    pub fn like(codes: &[Code], schema: Schema) -> Self {
        Self::made(codes, |_| schema)
    }

    fn made(
        codes: &[Code],
        schema: impl FnOnce(&mut SchemaGenerator) -> Schema + Send + 'static,
    ) -> Self {
        Self {
            schema: Box::new(schema),
            codes: codes.iter().copied().collect(),
        }
    }

    /// A list of such values.
    pub fn list(allowed: &RangeInclusive<usize>, item: Self) -> Self {
        let (least, most) = (*allowed.start(), *allowed.end());
        let codes = [Code::InvalidType, Code::InvalidValue];
        let Self {
            schema,
            codes: of_item,
        } = item;
        let mut list = Self::made(&codes, move |generator| {
            let items = schema(generator);
            json_schema!({"type": "array", "items": items, "minItems": least, "maxItems": most})
        });
        list.codes.extend(of_item);
        list
    }

    /// An object with these members and no others. One that may be left out may be `null`.
    pub fn object(members: Vec<Member>) -> Self {
        let mut all = BTreeSet::new();
        for Member {
            shape, is_required, ..
        } in &members
        {
            all.extend(shape.codes.iter().copied());
            all.extend(is_required.then_some(Code::MissingField));
        }
        let codes: Vec<_> = all.into_iter().collect();
        Self::made(&codes, move |generator| {
            let (mut properties, mut required) = (Map::new(), Vec::new());
            for Member {
                name,
                says,
                is_required,
                shape,
            } in members
            {
                let mut schema = shape.into_schema(generator).into();
                if is_required {
                    required.push(name.clone());
                } else {
                    schema = or_null(schema);
                }
                properties.insert(name, saying(says, schema));
            }
            json_schema!({
                "type": "object", "properties": properties, "required": required, "additionalProperties": false,
            })
        })
    }

    /// An object of one of several named shapes, which the member `tag` tells apart.
    pub fn tagged(tag: &'static str, variants: Vec<(&'static str, String, Self)>) -> Self {
        let mut all = BTreeSet::new();
        for (_, _, variant) in &variants {
            all.extend(variant.codes.iter().copied());
        }
        let codes: Vec<_> = all.into_iter().collect();
        Self::made(&codes, move |generator| {
            let mut mapping = Map::new();
            let mut references = Vec::new();
            for (value, name, variant) in variants {
                let schema = variant.into_schema(generator);
                let path = format!("#/components/schemas/{name}");
                generator.definitions_mut().insert(name, schema.into());
                references.push(json!({"$ref": path}));
                mapping.insert(value.to_owned(), path.into());
            }
            json_schema!({"oneOf": references, "discriminator": {"propertyName": tag, "mapping": mapping}})
        })
    }

    pub fn into_schema(self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

/// The same value, or none.
fn or_null(mut schema: Json) -> Json {
    match schema.get_mut("type") {
        Some(of) if of.is_string() => {
            let alone = of.take();
            *of = json!([alone, "null"]);
            schema
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// The same, with what is said of it.
fn saying(says: &str, mut schema: Json) -> Json {
    if !says.is_empty() {
        schema["description"] = says.into();
    }
    schema
}

/// One field or parameter.
pub struct Member {
    pub name: String,
    /// Empty where its type says enough.
    pub says: &'static str,
    pub is_required: bool,
    pub shape: Shape,
}

impl Member {
    /// What it looks like, and what is said of it.
    pub fn into_schema(self, generator: &mut SchemaGenerator) -> Json {
        saying(self.says, self.shape.into_schema(generator).into())
    }
}

/// The fields told so far, and what is said of the next one.
#[derive(Default)]
pub(super) struct Described {
    members: Vec<Member>,
    says: &'static str,
}

impl Fields {
    fn described(read: impl FnOnce(&mut Self)) -> Vec<Member> {
        let mut fields = Self::new(Origin::Json, String::new(), Vec::new());
        fields.described = Some(Described::default());
        read(&mut fields);
        fields.described.unwrap_or_default().members
    }

    /// What a reader reads of a query string.
    pub fn members_of_query<T>(read: impl FnOnce(&mut Self) -> Option<T>) -> Vec<Member> {
        Self::described(|fields| drop(read(fields)))
    }

    /// What a reader reads of an object.
    pub fn shape_of<T>(read: impl FnOnce(&mut Self) -> Option<T>) -> Shape {
        Shape::object(Self::described(|fields| drop(read(fields))))
    }

    /// Tells of a field, if that is what is asked for, and whether it is.
    pub(super) fn tell(
        &mut self,
        name: &str,
        is_required: bool,
        shape: impl FnOnce() -> Shape,
    ) -> bool {
        let Some(Described { members, says }) = &mut self.described else {
            return false;
        };
        members.push(Member {
            name: name.to_owned(),
            says: std::mem::take(says),
            is_required,
            shape: shape(),
        });
        true
    }

    /// Says what the field is that is read next, for the description of the API alone.
    pub const fn says(&mut self, what: &'static str) -> &mut Self {
        if let Some(Described { says, .. }) = &mut self.described {
            *says = what;
        }
        self
    }

    /// Tells of a field with this very value, which is read elsewhere.
    pub fn tell_constant(&mut self, name: &str, value: &str) {
        self.says("Which command it is.");
        let schema = json_schema!({"type": "string", "const": value});
        self.tell(name, true, || Shape::like(&[Code::InvalidValue], schema));
    }
}

impl TextMapLimits {
    pub(super) fn shape(self) -> Shape {
        let schema = json_schema!({
            "type": "object",
            "maxProperties": self.entries_max,
            "propertyNames": {"minLength": 1, "maxLength": self.key_length_max},
            "additionalProperties": {"type": ["string", "null"], "minLength": 1, "maxLength": self.value_length_max},
        });
        Shape::like(
            &[Code::InvalidType, Code::InvalidValue, Code::DuplicateField],
            schema,
        )
    }
}

/// Where a reader that is asked puts what it reads.
#[derive(Default)]
pub(super) struct Asked(RefCell<Option<Shape>>);

impl Asked {
    /// The first word counts: a reader within a reader knows less.
    pub(super) fn tell(&self, shape: impl FnOnce() -> Shape) {
        let mut told = self.0.borrow_mut();
        if told.is_none() {
            *told = Some(shape());
        }
    }

    /// What the reader says; anything, when it says nothing.
    pub(super) fn ask<T, E>(read: impl FnOnce(Value<'_>) -> Result<T, E>) -> Shape {
        let asked = Self::default();
        drop(read(Value::asking(&asked)));
        let told = asked.0.into_inner();
        told.unwrap_or_else(|| Shape::like(&[], Schema::default()))
    }
}

/// What a route's handler reads of a request.
#[derive(Default)]
pub struct Reads {
    /// Of the path's parameters, in their order.
    pub path: Vec<Shape>,
    pub query: Option<Vec<Member>>,
    pub headers: Vec<Header>,
    pub body: Option<Body>,
    pub codes: BTreeSet<Code>,
}

pub struct Header {
    pub name: &'static str,
    pub says: &'static str,
    pub schema: Json,
}

pub struct Body {
    pub is_required: bool,
    /// None for a body that the operation says itself.
    pub shape: Option<Shape>,
}

impl Reads {
    pub fn of<A: Arguments>() -> Self {
        let mut reads = Self::default();
        A::describe(&mut reads);
        reads
    }

    fn json_body(&mut self, is_required: bool, shape: Option<Shape>) {
        self.codes.extend([
            Code::BodyIncomplete,
            Code::MalformedJson,
            Code::InvalidType,
            Code::UnknownField,
            Code::DuplicateField,
            Code::UnsupportedMediaType,
        ]);
        self.body = Some(Body { is_required, shape });
    }
}

/// What an extractor reads, and how it refuses.
pub trait Describe {
    fn describe(reads: &mut Reads);
}

/// The arguments of a handler, each of which is described.
pub trait Arguments {
    fn describe(reads: &mut Reads);
}

macro_rules! arguments {
    ($($argument:ident)*) => {
        impl<M, $($argument: Describe),*> Arguments for (M, $($argument,)*) {
            fn describe(_reads: &mut Reads) {
                $($argument::describe(_reads);)*
            }
        }
    };
}

arguments!();
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);

/// Arguments that are nothing of the request, or that refuse nothing of it.
macro_rules! silent {
    ($($argument:ty)*) => {$(
        impl Describe for $argument {
            fn describe(_: &mut Reads) {}
        }
    )*};
}

silent!(Principal HeaderMap);

impl<S> Describe for State<S> {
    fn describe(_: &mut Reads) {}
}

impl<T: JsonSchema + 'static> Describe for PathId<T> {
    fn describe(reads: &mut Reads) {
        reads.path.push(Shape::of::<T>(&[Code::InvalidUuid]));
    }
}

impl Describe for PathNumber {
    fn describe(reads: &mut Reads) {
        let (least, most) = PATH_NUMBERS.into_inner();
        let schema = json_schema!({
            "description": "The number it has in the list.",
            "type": "integer", "format": "int64", "minimum": least, "maximum": most,
        });
        reads.path.push(Shape::like(&[Code::InvalidValue], schema));
    }
}

impl<T: JsonSchema + 'static> Describe for PathValue<T> {
    fn describe(reads: &mut Reads) {
        reads.path.push(Shape::of::<T>(&[Code::InvalidValue]));
    }
}

impl<A: InPath, B: InPath> Describe for PathPair<A, B> {
    fn describe(reads: &mut Reads) {
        reads.path.extend([A::shape(), B::shape()]);
    }
}

impl<T: FromFields> Describe for QueryParams<T> {
    fn describe(reads: &mut Reads) {
        reads.codes.insert(Code::DuplicateField);
        reads.query = Some(Fields::members_of_query(T::from_fields));
    }
}

impl<T: FromFields> Describe for JsonBody<T> {
    fn describe(reads: &mut Reads) {
        reads.json_body(true, Some(T::shape()));
    }
}

impl<T: FromFields> Describe for Option<JsonBody<T>> {
    fn describe(reads: &mut Reads) {
        reads.json_body(false, Some(T::shape()));
    }
}

impl Describe for JsonFields {
    fn describe(reads: &mut Reads) {
        reads.json_body(true, None);
    }
}

impl Describe for Option<IfMatch> {
    fn describe(reads: &mut Reads) {
        reads.codes.insert(Code::IfMatchInvalid);
        reads.headers.push(Header {
            name: "If-Match",
            says: "The version the wallet has to be at, in double quotes, or *.",
            schema: json!({"type": "string", "pattern": "^(\"(0|[1-9][0-9]*)\"|\\*)$", "examples": ["\"7\""]}),
        });
    }
}

impl Describe for Option<LastEventId> {
    fn describe(reads: &mut Reads) {
        reads.codes.insert(Code::LastEventIdInvalid);
        reads.headers.push(Header {
            name: "Last-Event-ID",
            says: "The id of the last message that was seen: the stream goes on after it. 0 is before the first event; without it the stream begins with what comes next.",
            schema: json!({"type": "string", "examples": ["17-1fe83239"]}),
        });
    }
}

/// The header that makes a request safe to send again.
pub fn idempotency_key() -> Header {
    Header {
        name: "Idempotency-Key",
        says: "Makes the request safe to send again: one effect, and the first answer again. An installation may demand it.",
        schema: json!({"type": "string", "pattern": "^[!-~]{1,255}$", "examples": ["payout-7"]}),
    }
}

/// What the routes of tests take, and no route of a service may: it would not be described.
#[cfg(test)]
mod of_tests {
    use axum::{body::Bytes, extract::Extension};

    use super::{Describe, Reads};
    use crate::server::rate_limit::Counted;

    silent!(String Bytes Extension<Counted>);
}
