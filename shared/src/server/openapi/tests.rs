//! Small routes, described.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{About, Operation, document, page};
use crate::{
    access::Scope,
    problem::Code,
    server::{
        auth::Access,
        http::Routes,
        request::{Fields, FromFields, JsonBody, PathId, QueryParams, TextMapLimits, parse},
    },
};

struct Paint;

impl FromFields for Paint {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let colour = fields.required("colour", parse::text(8));
        let coats = fields.optional("coats", parse::integer(1..=3));
        let parts: Option<Vec<Self>> = fields.objects("parts", 1..=2);
        let _notes = fields.text_map("notes", TextMapLimits::METADATA);
        if colour.is_some() && coats == Some(2) {
            fields.reject("coats", Code::InvalidValue, "must be odd");
        }
        parts.map(|_| Self)
    }

    fn shape() -> crate::server::request::describe::Shape {
        Fields::shape_of(|fields| {
            let colour: Option<String> = fields.required("colour", parse::text(8));
            let _coats: Option<u8> = fields.optional("coats", parse::integer(1..=3));
            colour.map(|_| Self)
        })
    }
}

struct Shown;

impl FromFields for Shown {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields.optional("limit", parse::limit);
        fields.list("only", 1..=2, parse::flag).map(|_| Self)
    }
}

#[derive(JsonSchema)]
#[schemars(rename = "Painted")]
#[expect(dead_code, reason = "only its schema is looked at")]
struct PaintedBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    colour: Option<String>,
    next: Option<String>,
}

fn described() -> Value {
    let routes: Routes<()> = Routes::new()
        .post(
            Scope::Admin,
            "/walls/{id}/paint",
            Operation::new("paintWall", "Paints a wall")
                .answers::<PaintedBody>(201, "The wall.")
                .refuses(&[Code::Overloaded]),
            async |_: PathId<crate::WalletId>, _: JsonBody<Paint>| "painted",
        )
        .get_with_query(
            Access::Open,
            "/walls",
            Operation::new("listWalls", "Lists <walls> & more")
                .answers_text("text/plain", "Walls."),
            async |_: QueryParams<Shown>| "walls",
        );
    let about = About {
        title: "walls",
        description: "Walls.",
        version: "1",
    };
    document(&about, &routes.into_list())
}

#[test]
fn a_route_is_described_by_what_its_handler_reads() {
    let document = described();
    let paint = &document["paths"]["/walls/{id}/paint"]["post"];
    assert_eq!(paint["security"], json!([{"token": ["admin"]}]));
    assert_eq!(paint["parameters"][0]["name"], "id");
    assert_eq!(paint["parameters"][0]["schema"]["format"], "uuid");
    let body = &document["components"]["schemas"]["PaintWallRequest"];
    assert_eq!(body["required"], json!(["colour"]));
    assert_eq!(
        body["properties"]["coats"]["type"],
        json!(["integer", "null"])
    );
    assert_eq!(body["properties"]["coats"]["maximum"], 3);
    let refused = &paint["responses"]["400"]["content"]["application/problem+json"]["examples"];
    for code in [
        "missing_field",
        "invalid_uuid",
        "unknown_field",
        "malformed_json",
    ] {
        assert!(refused.get(code).is_some(), "{code}: {refused}");
    }
    assert!(refused.get("invalid_limit").is_none());
    assert!(paint["responses"]["403"].is_object());
    assert!(paint["responses"]["503"]["headers"]["Retry-After"].is_object());
    let walls = &document["paths"]["/walls"]["get"];
    let parameters = walls["parameters"].as_array().unwrap();
    assert_eq!(parameters[0]["name"], "limit");
    assert_eq!(parameters[0]["required"], false);
    assert_eq!(parameters[1]["schema"]["items"]["type"], "boolean");
    assert!(walls.get("security").is_none());
    assert!(walls["responses"].get("401").is_none());
}

#[test]
fn a_reader_reads_what_it_describes() {
    let described: Vec<_> = Fields::members_of_query(Paint::from_fields)
        .into_iter()
        .map(|member| (member.name, member.is_required))
        .collect();
    let all = [
        ("colour", true),
        ("coats", false),
        ("parts", true),
        ("notes", false),
    ];
    assert_eq!(
        described,
        all.map(|(name, needed)| (name.to_owned(), needed))
    );
}

#[test]
fn what_is_left_out_of_an_answer_is_not_null_in_it() {
    let document = described();
    let painted = &document["components"]["schemas"]["Painted"];
    assert_eq!(painted["required"], json!(["next"]));
    assert_eq!(painted["properties"]["colour"]["type"], "string");
    assert_eq!(
        painted["properties"]["next"]["type"],
        json!(["string", "null"])
    );
}

#[test]
fn the_page_has_every_operation_and_reaches_no_other_host() {
    let page = page::of(&described());
    for shown in [
        "POST /walls/{id}/paint",
        "Lists &lt;walls&gt; &amp; more",
        "PaintWallRequest",
        "<code>overloaded</code>",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    for outside in ["http:", "https:", "<script", "src=", "@import", "url("] {
        let asked = page.replace("https://json-schema.org", "");
        assert!(!asked.contains(outside), "{outside}: {page}");
    }
}
