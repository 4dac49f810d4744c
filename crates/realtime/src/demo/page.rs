//! The page: its parts, put together at compile time, and what only this run knows, filled in at the start.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{city::City, fleet::RIDERS};

/// The page, with its configuration left open.
const PAGE: &str = concat!(
    include_str!("page/head.html"),
    "<style>\n",
    include_str!("page/style.css"),
    "</style>\n</head>\n",
    include_str!("page/body.html"),
    "<script type=\"application/json\" id=\"ground\">",
    include_str!("map/map.json"),
    "</script>\n<script type=\"application/json\" id=\"configuration\">{{configuration}}</script>\n<script>\n'use strict';\n",
    include_str!("page/geometry.js"),
    include_str!("page/feeds.js"),
    include_str!("page/gliding.js"),
    include_str!("page/map.js"),
    include_str!("page/orders.js"),
    include_str!("page/delivery.js"),
    include_str!("page/talk.js"),
    include_str!("page/bell.js"),
    include_str!("page/operations.js"),
    include_str!("page/main.js"),
    "</script>\n</body>\n</html>\n",
);

/// The tokens of those whose screens the page shows.
pub(crate) struct Tokens {
    pub(crate) customer: String,
    pub(crate) owner: String,
    pub(crate) staff: String,
}

/// The page of this run.
pub(crate) fn page(tokens: &Tokens, area_precision: usize) -> String {
    let kitchens: Vec<Value> = City::kitchens()
        .iter()
        .map(|kitchen| {
            json!({ "id": kitchen.id, "name": kitchen.name, "address": kitchen.address,
                    "place": [kitchen.place.latitude, kitchen.place.longitude] })
        })
        .collect();
    let riders: Vec<Value> = RIDERS.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect();
    let configuration = json!({
        "customer": { "id": super::CUSTOMER, "token": tokens.customer },
        "restaurant": { "id": super::RESTAURANT, "token": tokens.owner },
        "staff": { "token": tokens.staff },
        "kitchens": kitchens, "riders": riders, "area_precision": area_precision,
    });
    // `<` ends no script.
    PAGE.replace("{{configuration}}", &configuration.to_string().replace('<', "\\u003c"))
}

/// Where people look at it.
pub(crate) fn address(http: SocketAddr) -> String {
    format!("http://{http}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let token = || "a.b</script>.c".to_owned();
        super::page(&Tokens { customer: token(), owner: token(), staff: token() }, 6)
    }

    #[test]
    fn the_page_is_whole_and_says_whose_map_it_is() {
        let page = page();
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
        assert!(!page.contains("{{configuration}}"), "placeholders are filled in");
        assert!(page.contains("© OpenStreetMap contributors"));
        assert_eq!(page.matches("</script>").count(), 3, "nothing that is filled in ends a script");
    }

    #[test]
    fn the_page_asks_nobody_else_for_anything() {
        let page = page();
        let links: Vec<&str> =
            page.split("https://").skip(1).map(|rest| &rest[..rest.len().min(40)]).collect();
        assert!(links.iter().all(|link| link.starts_with("www.openstreetmap.org/copyright")), "{links:?}");
        assert!(!page.contains("http://") && !page.contains("@import") && !page.contains(" src="));
    }
}
