//! The migrations are in the binary: a new file among them must build it again, which `sqlx::migrate!` alone does not see.

fn main() {
    println!("cargo::rerun-if-changed=../migrations/history");
}
