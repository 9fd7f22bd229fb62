//! A statement as ISO 20022 has it: `camt.053.001.08`, Bank to Customer Statement. `docs/api/history.md` says which of our
//! fields is which of its elements.
//!
//! Nothing in it is of the moment at which it is asked for: what has to be a moment of creation is the end of the period.

use std::io;

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};
use shared::{
    Hash, Timestamp,
    digest::{CanonicalBytes, LengthPrefix},
    event::EventKind,
};

use super::{Form, Heading, Line, Noted, Totals};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08";

/// The longest texts that the schema takes.
const MAX_35: usize = 35;
const MAX_140: usize = 140;
const MAX_500: usize = 500;

pub(super) struct Camt053;

impl Form for Camt053 {
    fn head(&self, heading: &Heading) -> String {
        let mut xml = Xml::default();
        xml.write(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        let document = BytesStart::new("Document").with_attributes([("xmlns", NAMESPACE)]);
        xml.write(Event::Start(document));
        xml.start("BkToCstmrStmt");
        let id = id_of(heading);
        let created = heading.period.to.to_string();
        xml.within("GrpHdr", |xml| {
            xml.text("MsgId", &id);
            xml.text("CreDtTm", &created);
        });
        xml.start("Stmt");
        xml.text("Id", &id);
        xml.text("CreDtTm", &created);
        xml.within("FrToDt", |xml| {
            xml.text("FrDtTm", &heading.period.from.to_string());
            xml.text("ToDtTm", &heading.period.to.to_string());
        });
        account(&mut xml, heading);
        let opening = heading.account.opening_balance.minor();
        balance(&mut xml, heading, "OPBD", opening, heading.period.from);
        // Of a period that is not over it is what there is so far.
        let closing = if heading.is_provisional {
            "ITBD"
        } else {
            "CLBD"
        };
        let amount = heading.account.closing_balance.minor();
        balance(&mut xml, heading, closing, amount, heading.period.to);
        xml.into_text()
    }

    fn line(&self, heading: &Heading, number: u64, line: &Line) -> String {
        let noted = &line.noted;
        let mut xml = Xml::default();
        xml.within("Ntry", |xml| {
            xml.text("NtryRef", &number.to_string());
            amount(xml, heading, line.amount.minor());
            if line.kind == EventKind::TransactionReversed.as_str() {
                xml.text("RvslInd", "true");
            }
            xml.within("Sts", |xml| xml.text("Cd", "BOOK"));
            let occurred_at = line.occurred_at.to_string();
            xml.within("BookgDt", |xml| xml.text("DtTm", &occurred_at));
            xml.within("ValDt", |xml| xml.text("DtTm", &occurred_at));
            xml.text("AcctSvcrRef", &line.sequence.to_string());
            xml.within("BkTxCd", |xml| {
                xml.within("Prtry", |xml| xml.text("Cd", first(&line.kind, MAX_35)));
            });
            details(xml, heading, line, noted);
            if let Some(description) = &noted.description {
                xml.text("AddtlNtryInf", first(description, MAX_500));
            }
        });
        xml.into_text()
    }

    fn foot(&self, _: &Heading, _: Totals) -> String {
        let mut xml = Xml::default();
        for name in ["Stmt", "BkToCstmrStmt", "Document"] {
            xml.write(Event::End(BytesEnd::new(name)));
        }
        xml.into_text()
    }
}

fn account(xml: &mut Xml, heading: &Heading) {
    let account = &heading.account;
    xml.within("Acct", |xml| {
        xml.within("Id", |xml| {
            let id = account.wallet_id.uuid().simple().to_string();
            xml.within("Othr", |xml| xml.text("Id", &id));
        });
        xml.text("Ccy", account.currency.code());
        let owner = account.user_id.as_str();
        xml.within("Ownr", |xml| xml.text("Nm", first(owner, MAX_140)));
    });
}

fn balance(xml: &mut Xml, heading: &Heading, code: &str, minor: i64, moment: Timestamp) {
    xml.within("Bal", |xml| {
        xml.within("Tp", |xml| {
            xml.within("CdOrPrtry", |xml| xml.text("Cd", code));
        });
        amount(xml, heading, minor);
        xml.within("Dt", |xml| xml.text("DtTm", &moment.to_string()));
    });
}

/// Without its sign, which stands beside it.
fn amount(xml: &mut Xml, heading: &Heading, minor: i64) {
    let currency = heading.account.currency;
    let text = currency.text_of_sum(i128::from(minor).abs());
    let start = BytesStart::new("Amt").with_attributes([("Ccy", currency.code())]);
    xml.write(Event::Start(start));
    xml.write(Event::Text(BytesText::new(&text)));
    xml.write(Event::End(BytesEnd::new("Amt")));
    xml.text("CdtDbtInd", if minor < 0 { "DBIT" } else { "CRDT" });
}

fn details(xml: &mut Xml, heading: &Heading, line: &Line, noted: &Noted) {
    let reference = noted.reference.as_deref().map(within_xml);
    let reference = reference.as_deref().filter(|text| !text.is_empty());
    xml.within("NtryDtls", |xml| {
        xml.within("TxDtls", |xml| {
            xml.within("Refs", |xml| {
                // It is told whole below, where it is longer than this may be.
                let whole = reference.filter(|reference| reference.chars().count() <= MAX_35);
                xml.text("EndToEndId", whole.unwrap_or("NOTPROVIDED"));
                if let Some(transaction) = line.transaction_id {
                    xml.text("TxId", &transaction.uuid().simple().to_string());
                }
            });
            amount(xml, heading, line.amount.minor());
            if let Some(other) = line.counterparty_wallet_id {
                let is_debit = line.amount.minor() < 0;
                let name = if is_debit { "CdtrAcct" } else { "DbtrAcct" };
                let id = other.uuid().simple().to_string();
                xml.within("RltdPties", |xml| {
                    xml.within(name, |xml| {
                        xml.within("Id", |xml| xml.within("Othr", |xml| xml.text("Id", &id)));
                    });
                });
            }
            if let Some(reference) = reference {
                xml.within("RmtInf", |xml| {
                    xml.text("Ustrd", first(reference, MAX_140));
                });
            }
        });
    });
}

/// The same for the same statement and for no other, as long as it may be: who has taken in what there was before the period
/// was over takes what there is in the end for another one.
fn id_of(heading: &Heading) -> String {
    let Heading {
        account,
        period,
        is_provisional,
        ..
    } = heading;
    let (wallet, last) = (account.wallet_id, account.last_sequence);
    let named = format!(
        "{wallet}/{}/{}/{last}/{is_provisional}",
        period.from, period.to
    );
    let mut bytes = CanonicalBytes::new(LengthPrefix::U64);
    let digest = Hash::from_bytes(bytes.part(named.as_bytes()).sha256()).to_string();
    first(&digest, 32).to_owned()
}

/// What XML has of a text.
fn within_xml(text: &str) -> String {
    let has =
        |character: &char| !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}');
    text.chars().filter(has).collect()
}

/// So many characters of a text.
fn first(text: &str, most: usize) -> &str {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// A piece of the document.
struct Xml(Writer<Vec<u8>>);

impl Default for Xml {
    fn default() -> Self {
        Self(Writer::new(Vec::new()))
    }
}

impl Xml {
    fn write(&mut self, event: Event<'_>) {
        // Writing into memory does not fail.
        let written: io::Result<()> = self.0.write_event(event);
        debug_assert!(written.is_ok(), "{written:?}");
    }

    fn start(&mut self, name: &str) {
        self.write(Event::Start(BytesStart::new(name)));
    }

    fn within(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.start(name);
        content(self);
        self.write(Event::End(BytesEnd::new(name)));
    }

    /// An element with a text, without the characters that XML does not have. None where nothing is left: the schema takes
    /// no text that is empty.
    fn text(&mut self, name: &str, text: &str) {
        let text = within_xml(text);
        if !text.is_empty() {
            self.within(name, |xml| xml.write(Event::Text(BytesText::new(&text))));
        }
    }

    fn into_text(self) -> String {
        String::from_utf8(self.0.into_inner()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use roxmltree::{Document, Node};
    use serde_json::{Value, json};
    use shared::{Amount, Balance, Currency, Sequence, TransactionId, WalletId};

    use super::*;
    use crate::history::{Account, Period};

    fn heading(currency: &str) -> Heading {
        let sequence = |number: i64| Sequence::try_from(number).unwrap();
        Heading {
            account: Account {
                wallet_id: WalletId::generate(),
                user_id: "alice".parse().unwrap(),
                currency: currency.parse::<Currency>().unwrap(),
                opening_balance: Balance::new(-5),
                closing_balance: Balance::new(995),
                first_sequence: sequence(7),
                last_sequence: sequence(9),
            },
            period: Period {
                from: "2026-10-01T00:00:00Z".parse().unwrap(),
                to: "2026-11-01T00:00:00Z".parse().unwrap(),
            },
            zone: "UTC".parse().unwrap(),
            is_provisional: false,
        }
    }

    #[test]
    fn what_there_is_in_the_end_is_another_statement_than_what_there_was_before() {
        let over = heading("EUR");
        let same = |other: &Heading| id_of(other) == id_of(&over);
        let again = || {
            let mut again = heading("EUR");
            again.account.wallet_id = over.account.wallet_id;
            again
        };
        assert!(same(&again()));
        assert!(!same(&heading("EUR")), "another wallet");
        let mut before = again();
        before.is_provisional = true;
        assert!(!same(&before));
        let mut late = again();
        late.account.last_sequence = Sequence::try_from(8).unwrap();
        assert!(!same(&late), "one that came later");
    }

    /// The document of one line.
    fn document(currency: &str, kind: EventKind, data: &Value) -> String {
        let heading = heading(currency);
        let line = Line {
            sequence: heading.account.last_sequence,
            kind: kind.as_str().to_owned(),
            amount: Amount::try_new(1_000).unwrap().credit(),
            balance_after: Balance::new(995),
            occurred_at: "2026-10-07T00:00:00.000001Z".parse().unwrap(),
            transaction_id: Some(TransactionId::generate()),
            counterparty_wallet_id: Some(WalletId::generate()),
            noted: data.to_string().into(),
        };
        [
            Camt053.head(&heading),
            Camt053.line(&heading, 1, &line),
            Camt053.foot(&heading, Totals::default()),
        ]
        .concat()
    }

    fn found<'a>(document: &'a Document<'a>, name: &str) -> Vec<Node<'a, 'a>> {
        let all = document.descendants();
        all.filter(|node| node.has_tag_name((NAMESPACE, name)))
            .collect()
    }

    fn texts<'a>(document: &'a Document<'a>, name: &str) -> Vec<&'a str> {
        let texts = found(document, name).into_iter();
        texts.map(|node| node.text().unwrap_or_default()).collect()
    }

    #[test]
    fn no_text_is_empty_or_longer_than_the_schema_takes() {
        let long = "\u{1f4b6}".repeat(600);
        for (text, reference, description) in [
            ("order-7", "order-7", "order-7"),
            ("", "NOTPROVIDED", ""),
            ("\u{ffff}\u{0007}", "NOTPROVIDED", ""),
            (long.as_str(), "NOTPROVIDED", &long[..4 * MAX_500]),
        ] {
            let noted = json!({"reference": text, "description": text});
            let xml = document("USD", EventKind::WalletFunded, &noted);
            let document = Document::parse(&xml).unwrap();
            assert_eq!(texts(&document, "EndToEndId"), [reference], "{text}");
            assert_eq!(texts(&document, "AddtlNtryInf").concat(), description);
            for node in document.descendants().filter(Node::is_element) {
                assert!(node.has_children(), "{node:?} is empty: {xml}");
                let name = node.tag_name().name();
                let most = match name {
                    "Ustrd" | "Nm" => MAX_140,
                    "AddtlNtryInf" => MAX_500,
                    _ => MAX_35,
                };
                let length = node.text().unwrap_or_default().chars().count();
                assert!(length <= most, "{name} has {length} characters");
            }
        }
    }

    #[test]
    fn what_was_taken_back_is_marked_between_its_sign_and_its_status() {
        for (kind, marked) in [
            (EventKind::TransactionReversed, true),
            (EventKind::TransferReceived, false),
        ] {
            let xml = document("USD", kind, &json!({}));
            let document = Document::parse(&xml).unwrap();
            assert_eq!(
                texts(&document, "RvslInd"),
                ["true"].repeat(usize::from(marked))
            );
            let [entry] = found(&document, "Ntry")[..] else {
                panic!("one entry")
            };
            let names = entry.children().map(|child| child.tag_name().name());
            let expected = ["NtryRef", "Amt", "CdtDbtInd", "RvslInd", "Sts", "BookgDt"];
            let expected = expected.iter().filter(|name| marked || **name != "RvslInd");
            let expected = Vec::from_iter(expected.copied());
            let names = Vec::from_iter(names.take(expected.len()));
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency_and_no_sign() {
        for (currency, amounts) in [
            ("USD", ["0.05", "9.95", "10.00", "10.00"]),
            ("JPY", ["5", "995", "1000", "1000"]),
            ("KWD", ["0.005", "0.995", "1.000", "1.000"]),
        ] {
            let xml = document(currency, EventKind::WalletFunded, &json!({}));
            let document = Document::parse(&xml).unwrap();
            assert_eq!(texts(&document, "Amt"), amounts, "{currency}");
            let signs = ["DBIT", "CRDT", "CRDT", "CRDT"];
            assert_eq!(texts(&document, "CdtDbtInd"), signs, "{currency}");
        }
    }
}
