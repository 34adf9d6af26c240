//! A row of the database: a user.

use serde::{Deserialize, Serialize};

const NAMES: [&str; 6] = ["Ada", "Barbara", "Edsger", "Grace", "Radia", "Tony"];
const CITIES: [&str; 5] = ["Nairobi", "Osaka", "Porto", "Quito", "Riga"];

#[derive(Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: u32,
    /// The number of writes to the row.
    pub(crate) version: u32,
    name: String,
    email: String,
    street: String,
    city: String,
    about: String,
    created_at: u64,
    last_seen_at: u64,
    plan: Plan,
    newsletter: bool,
    dark_mode: bool,
}

#[derive(Serialize, Deserialize)]
enum Plan {
    Free,
    Team,
}

impl User {
    /// Makes up a user, always the same for an id.
    pub(crate) fn new(id: u32) -> Self {
        let first = NAMES[id as usize % NAMES.len()];
        let city = CITIES[id as usize % CITIES.len()];
        let created_at = 1_700_000_000 + u64::from(id);
        Self {
            id,
            version: 0,
            name: format!("{first} Example-{id}"),
            email: format!("{}.{id}@users.example.com", first.to_lowercase()),
            street: format!("{} Harbour Street, second floor", id % 300),
            city: city.into(),
            about: format!(
                "{first} lives in {city}, writes about caches and the databases behind \
                 them, and would like to hear of every answer that is out of date."
            ),
            created_at,
            last_seen_at: created_at,
            plan: if id % 10 == 0 { Plan::Team } else { Plan::Free },
            newsletter: id % 3 == 0,
            dark_mode: id % 2 == 0,
        }
    }

    /// Changes the user, as a write does.
    pub(crate) fn touch(&mut self) {
        self.version += 1;
        self.last_seen_at += 60;
    }
}
