//! The fields of one object, read by name.

use std::ops::RangeInclusive;

use super::{
    describe::{Asked, Described, Shape},
    node::Node,
    parse::{Invalid, Origin, Value},
};
use crate::{
    Patch,
    problem::{Code, FieldError, Problem},
};

/// A body of 64 KiB can be wrong in thousands of ways; the first ones are enough to mend it.
pub const ERRORS_MAX: usize = 20;

/// A request type that is read field by field.
pub trait FromFields: Sized {
    /// Reads every field, then builds the value. Errors are kept by `fields`; `None` says that something that is needed
    /// is not there. What is returned counts only when no error was kept.
    fn from_fields(fields: &mut Fields) -> Option<Self>;

    /// What it looks like in JSON.
    fn shape() -> Shape {
        Fields::shape_of(Self::from_fields)
    }
}

/// The fields of one JSON object or query string, and the errors found so far.
pub struct Fields {
    origin: Origin,
    /// Put before the names in errors: empty, or such as `legs[0].`.
    path: String,
    /// In the order they were sent; what is taken is removed.
    entries: Vec<(String, Node)>,
    errors: Vec<FieldError>,
    /// Some error left nothing behind that could be judged.
    is_unreadable: bool,
    /// What is asked for, when nothing is read ([`super::describe`]).
    pub(super) described: Option<Described>,
}

/// A request that could be read, and what a rule has against it.
///
/// Rules change, by a setting or with a build, and what was answered under the rules of before is answered again: so who
/// answers such requests looks for that first.
#[derive(Debug)]
pub struct Judged<T> {
    pub value: T,
    /// Empty for a request that is taken.
    pub errors: Vec<FieldError>,
}

impl Fields {
    /// # Errors
    /// `malformed_json` for what is not JSON, `invalid_type` for what is not an object.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        let document: Node = serde_json::from_slice(body).map_err(|error| {
            whole_body(
                Code::MalformedJson,
                format!("The body is not JSON: {error}."),
            )
        })?;
        let entries = document.into_object().map_err(|found| {
            whole_body(
                Code::InvalidType,
                format!("The body must be a JSON object, not {found}."),
            )
        })?;
        Ok(Self::new(Origin::Json, String::new(), entries))
    }

    /// The decoded pairs of a query string.
    pub fn from_query(pairs: Vec<(String, String)>) -> Self {
        let entries = pairs
            .into_iter()
            .map(|(name, value)| (name, Node::Text(value)))
            .collect();
        Self::new(Origin::Query, String::new(), entries)
    }

    pub(super) const fn new(origin: Origin, path: String, entries: Vec<(String, Node)>) -> Self {
        Self {
            origin,
            path,
            entries,
            errors: Vec::new(),
            is_unreadable: false,
            described: None,
        }
    }

    /// Reads a whole `T` and makes sure that nothing is left over.
    ///
    /// # Errors
    /// 400 with every error found.
    pub fn read<T: FromFields>(self) -> Result<T, Problem> {
        self.read_with(T::from_fields)
    }

    /// The same, by a function that promises what [`FromFields`] does.
    ///
    /// # Errors
    /// 400 with every error found.
    pub fn read_with<T>(self, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, Problem> {
        match self.judge(read)? {
            Judged { value, errors } if errors.is_empty() => Ok(value),
            Judged { errors, .. } => Err(Problem::invalid(errors)),
        }
    }

    /// The same, but a request that is only against a rule ([`Self::required_by_rule`]) is given with what is wrong.
    ///
    /// # Errors
    /// 400 with every error found, when some of it cannot be read.
    pub fn judge<T>(
        mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<Judged<T>, Problem> {
        let value = read(&mut self);
        self.end();
        match value {
            Some(value) if !self.is_unreadable => Ok(Judged {
                value,
                errors: self.errors,
            }),
            _ => Err(Problem::invalid(self.errors)),
        }
    }

    /// A field that has to be there. `null` counts as not there.
    pub fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, Invalid>,
    ) -> Option<T> {
        if self.described.is_some() {
            self.tell(name, true, || Asked::ask(read));
            return None;
        }
        match self.take(name) {
            Taken::Once(node) => self.read_value(name, &node, read),
            Taken::Absent => {
                self.reject(name, Code::MissingField, "is required");
                None
            }
            Taken::Refused => None,
        }
    }

    /// A field that may be left out or `null`.
    pub fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, Invalid>,
    ) -> Option<T> {
        if self.described.is_some() {
            self.tell(name, false, || Asked::ask(read));
            return None;
        }
        match self.take(name) {
            Taken::Once(node) => self.read_value(name, &node, read),
            Taken::Absent | Taken::Refused => None,
        }
    }

    /// A field that has to be there, and is judged once it is read: see [`Judged`].
    pub fn required_by_rule<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, Invalid>,
        rule: impl FnOnce(&T) -> Result<(), Invalid>,
    ) -> Option<T> {
        let value = self.required(name, read)?;
        self.judge_value(name, rule(&value));
        Some(value)
    }

    /// The same of a field that may be left out or `null`.
    pub fn optional_by_rule<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, Invalid>,
        rule: impl FnOnce(&T) -> Result<(), Invalid>,
    ) -> Option<T> {
        let value = self.optional(name, read)?;
        self.judge_value(name, rule(&value));
        Some(value)
    }

    pub(super) fn judge_value(&mut self, name: &str, judged: Result<(), Invalid>) {
        if let Err(Invalid { code, message }) = judged {
            self.keep(name, code, message);
        }
    }

    /// The same of a field that a request changes, or leaves as it is.
    pub fn patch_by_rule<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'_>) -> Result<T, Invalid>,
        rule: impl FnOnce(&T) -> Result<(), Invalid>,
    ) -> Patch<T> {
        if self.described.is_none() && self.is_null(name) {
            self.take(name);
            return Patch::Clear;
        }
        let value = self.optional_by_rule(name, read, rule);
        value.map_or(Patch::Keep, Patch::Set)
    }

    /// Whether a field is there, once, and says that it is nothing.
    pub(super) fn is_null(&self, name: &str) -> bool {
        let mut named = self.entries.iter().filter(|(key, _)| key == name);
        matches!((named.next(), named.next()), (Some((_, Node::Null)), None))
    }

    /// An object that may be left out.
    pub fn object<T: FromFields>(&mut self, name: &str) -> Option<T> {
        if self.tell(name, false, T::shape) {
            return None;
        }
        let entries = self.take_object(name)?;
        self.nested(format!("{}{name}.", self.path), entries)
    }

    /// A list of objects that has to be there, with an allowed number of them.
    pub fn objects<T: FromFields>(
        &mut self,
        name: &str,
        allowed: RangeInclusive<usize>,
    ) -> Option<Vec<T>> {
        if self.tell(name, true, || Shape::list(&allowed, T::shape())) {
            return None;
        }
        let items = self.items(name, &allowed)?;
        Some(self.nested_all(name, items))
    }

    /// The same that may be left out or `null`, and is empty then.
    pub fn objects_if_any<T: FromFields>(
        &mut self,
        name: &str,
        allowed: RangeInclusive<usize>,
    ) -> Option<Vec<T>> {
        if self.tell(name, false, || Shape::list(&allowed, T::shape())) {
            return None;
        }
        let is_given = |(key, node): &(String, Node)| key == name && *node != Node::Null;
        if !self.entries.iter().any(is_given) {
            let taken = self.take(name);
            return matches!(taken, Taken::Absent).then(Vec::new);
        }
        let items = self.items(name, &allowed)?;
        Some(self.nested_all(name, items))
    }

    fn nested_all<T: FromFields>(&mut self, name: &str, items: Vec<Node>) -> Vec<T> {
        let mut objects = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            if let Some(entries) =
                self.typed(&format!("{name}[{index}]"), item.into_object(), "an object")
            {
                let path = format!("{}{name}[{index}].", self.path);
                objects.extend(self.nested(path, entries));
            }
        }
        objects
    }

    /// A list of values that has to be there, with an allowed number of them. Each that is wrong is told.
    pub fn list<T>(
        &mut self,
        name: &str,
        allowed: RangeInclusive<usize>,
        item: impl Fn(Value<'_>) -> Result<T, Invalid>,
    ) -> Option<Vec<T>> {
        if self.tell(name, true, || Shape::list(&allowed, Asked::ask(&item))) {
            return None;
        }
        let items = self.items(name, &allowed)?;
        let mut list = Vec::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            list.extend(self.read_value(&format!("{name}[{index}]"), node, &item));
        }
        Some(list)
    }

    fn items(&mut self, name: &str, allowed: &RangeInclusive<usize>) -> Option<Vec<Node>> {
        let items = match self.take(name) {
            Taken::Once(node) => self.typed(name, node.into_array(), "a list")?,
            Taken::Absent => {
                self.reject(name, Code::MissingField, "is required");
                return None;
            }
            Taken::Refused => return None,
        };
        if !allowed.contains(&items.len()) {
            let message = format!("must have {} to {} entries", allowed.start(), allowed.end());
            self.reject(name, Code::InvalidValue, message);
            return None;
        }
        Some(items)
    }

    /// Keeps an error of the caller's own, e.g. for two fields that exclude each other.
    pub fn reject(&mut self, name: &str, code: Code, message: impl Into<String>) {
        self.is_unreadable = true;
        self.keep(name, code, message);
    }

    /// What is wrong so far.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    pub(super) fn keep(&mut self, name: &str, code: Code, message: impl Into<String>) {
        let field = format!("{}{name}", self.path);
        self.errors.push(FieldError {
            field,
            code,
            message: message.into(),
        });
    }

    /// Also refuses the fields that are not known.
    fn end(&mut self) {
        self.reject_unknown();
        self.errors.truncate(ERRORS_MAX);
    }

    /// Passes over what is left: whether it belongs here cannot be told.
    pub fn ignore_rest(&mut self) {
        self.entries.clear();
    }

    fn reject_unknown(&mut self) {
        let code = match self.origin {
            Origin::Json => Code::UnknownField,
            Origin::Query => Code::UnknownParameter,
        };
        for (name, _) in std::mem::take(&mut self.entries)
            .into_iter()
            .take(ERRORS_MAX)
        {
            self.reject(&name, code, "is not known here");
        }
    }

    fn nested<T: FromFields>(&mut self, path: String, entries: Vec<(String, Node)>) -> Option<T> {
        let mut inner = Self::new(self.origin, path, entries);
        let value = T::from_fields(&mut inner);
        inner.end();
        self.is_unreadable |= inner.is_unreadable;
        self.errors.extend(inner.errors);
        value
    }

    pub(super) fn read_value<T>(
        &mut self,
        name: &str,
        node: &Node,
        read: impl FnOnce(Value<'_>) -> Result<T, Invalid>,
    ) -> Option<T> {
        match read(Value::new(node, self.origin)) {
            Ok(value) => Some(value),
            Err(Invalid { code, message }) => {
                self.reject(name, code, message);
                None
            }
        }
    }

    pub(super) fn take_object(&mut self, name: &str) -> Option<Vec<(String, Node)>> {
        match self.take(name) {
            Taken::Once(node) => self.typed(name, node.into_object(), "an object"),
            Taken::Absent | Taken::Refused => None,
        }
    }

    fn typed<T>(
        &mut self,
        name: &str,
        content: Result<T, &'static str>,
        wanted: &str,
    ) -> Option<T> {
        content
            .map_err(|found| {
                self.reject(
                    name,
                    Code::InvalidType,
                    format!("must be {wanted}, not {found}"),
                )
            })
            .ok()
    }

    pub(super) fn take(&mut self, name: &str) -> Taken {
        let Some(first) = self.entries.iter().position(|(key, _)| key == name) else {
            return Taken::Absent;
        };
        let (_, node) = self.entries.remove(first);
        if self.entries.iter().any(|(key, _)| key == name) {
            self.entries.retain(|(key, _)| key != name);
            self.reject(name, Code::DuplicateField, "is given more than once");
            return Taken::Refused;
        }
        if node == Node::Null {
            Taken::Absent
        } else {
            Taken::Once(node)
        }
    }
}

pub(super) enum Taken {
    Once(Node),
    Absent,
    /// Repeated; the error is kept already.
    Refused,
}

fn whole_body(code: Code, message: String) -> Problem {
    Problem::invalid_field("", code, message)
}
