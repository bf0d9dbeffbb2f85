use quick_xml::events::Event;

use super::*;

fn eur(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").expect("EUR is current"))
}

fn caption() -> Caption {
    Caption {
        id: "roll-1".to_owned(),
        title: "Saldo <Juli> & mehr".to_owned(),
        description: "Von 100,00 auf 130,00.".to_owned(),
        language: Language::German,
    }
}

fn step(name: &str, minor: i64) -> Step {
    Step { name: name.to_owned(), amount: eur(minor) }
}

/// 100.00 + 1,250.00 − 1,220.00 = 130.00
fn waterfall() -> Waterfall {
    Waterfall {
        caption: caption(),
        opening: step("Anfang", 100_00),
        steps: vec![step("Verkäufe", 1_250_00), step("Auszahlungen", -1_220_00)],
        closing: step("Ende", 130_00),
    }
}

fn lines() -> Lines {
    let series = |name: &str, amounts: [i64; 3]| Series { name: name.to_owned(), amounts: amounts.map(eur).to_vec() };
    Lines {
        caption: caption(),
        points: ["Mai", "Juni", "Juli"].map(str::to_owned).to_vec(),
        series: vec![series("Gebühren", [500_00, 700_00, 650_00]), series("Marge", [-20_00, 90_00, 110_00])],
    }
}

/// The attributes of all elements of a name, in a document that has to be well-formed.
fn elements(svg: &str, name: &str) -> Vec<Vec<(String, String)>> {
    let (mut reader, mut found) = (quick_xml::Reader::from_str(svg), Vec::new());
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) | Event::Empty(start) if start.name().into_inner() == name => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.expect("well-formed");
                    (attribute.key.into_inner().to_owned(), attribute.value.into_owned())
                });
                found.push(attributes.collect());
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn number(attributes: &[(String, String)], name: &str) -> i64 {
    let (_, value) = attributes.iter().find(|(found, _)| found == name).expect("it has the attribute");
    value.parse().expect("a whole number")
}

#[test]
fn bars_of_a_waterfall_join_and_are_in_proportion() {
    let chart = waterfall().draw().expect("it closes");
    let bars: Vec<_> = elements(&chart.svg, "rect")
        .iter()
        .filter(|attributes| attributes.iter().any(|(name, _)| name == "stroke"))
        .map(|bar| (number(bar, "x"), number(bar, "width")))
        .collect();
    // From 0 to 1,350.00 on 340 from 230: 100.00 is 25, 1,350.00 is 340, 130.00 is 32.
    assert_eq!(bars, [(230, 25), (255, 315), (262, 308), (230, 32)]);
}

#[test]
fn a_chart_speaks_and_has_its_numbers_in_a_table() {
    let chart = waterfall().draw().expect("it closes");
    let root = elements(&chart.svg, "svg").remove(0);
    let attribute = |name: &str| root.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!(attribute("role"), Some("img"));
    assert_eq!(attribute("aria-labelledby"), Some("roll-1-title roll-1-description"));
    assert!(chart.svg.contains("<title id=\"roll-1-title\">Saldo &lt;Juli&gt; &amp; mehr</title>"));
    assert!(chart.svg.contains("url(#roll-1-hatch)"), "what falls is hatched");
    assert!(chart.svg.contains(">+1.250,00</text>") && chart.svg.contains(">\u{2212}1.220,00</text>"));
    let rows = "<tr><th scope=\"row\">Verkäufe</th><td class=\"n\">+1.250,00</td></tr>\n\
                <tr><th scope=\"row\">Auszahlungen</th><td class=\"n\">\u{2212}1.220,00</td></tr>";
    assert!(chart.figure.contains(rows), "{}", chart.figure);
    assert!(chart.figure.contains(&chart.svg));
}

#[test]
fn a_waterfall_that_does_not_close_is_not_drawn() {
    let wrong = Waterfall { closing: step("Ende", 130_01), ..waterfall() };
    let refused = wrong.draw().expect_err("a cent is missing").to_string();
    assert_eq!(refused, "opening and movements make 130.00, the closing says 130.01");
}

#[test]
fn a_balance_below_zero_has_its_bars_left_of_zero() {
    let debt = Waterfall {
        opening: step("Anfang", -100_00),
        steps: vec![step("Erstattung", -100_00)],
        closing: step("Ende", -200_00),
        ..waterfall()
    };
    let chart = debt.draw().expect("it closes");
    let axis = elements(&chart.svg, "line").into_iter().find(|line| line.iter().any(|(_, value)| value == "axis"));
    assert_eq!(number(&axis.expect("there is an axis"), "x1"), 570);
}

#[test]
fn ageing_has_amount_and_number_of_each_bucket() {
    let bucket = |name: &str, count, minor| Bucket { name: name.to_owned(), count, amount: eur(minor) };
    let ageing =
        Ageing { caption: caption(), buckets: vec![bucket("0–1 Tage", 12, 340_00), bucket("> 90 Tage", 1, 5)] };
    let chart = ageing.draw().expect("lawful buckets");
    assert!(chart.svg.contains(">340,00 (12)</text>") && chart.svg.contains(">0,05 (1)</text>"));
    assert!(
        chart.figure.contains("<th scope=\"row\">&gt; 90 Tage</th><td class=\"n\">1</td><td class=\"n\">0,05</td>")
    );
    let below = Ageing { buckets: vec![bucket("0–1 Tage", 1, -1)], ..ageing.clone() };
    assert!(matches!(below.draw(), Err(Error::Field { row: 1, field: "amount", .. })));
    let none = Ageing { buckets: Vec::new(), ..ageing };
    assert!(matches!(none.draw(), Err(Error::Field { row: 0, field: "buckets", .. })));
}

#[test]
fn lines_differ_by_dash_and_mark_not_by_colour_alone() {
    let chart = lines().draw().expect("lawful series");
    let paths = elements(&chart.svg, "polyline");
    let of = |path: &[(String, String)], name: &str| {
        path.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).expect("it has the attribute")
    };
    // Each series is drawn once, and once in the legend.
    assert_eq!(paths.len(), 4);
    assert_ne!(of(&paths[0], "stroke-dasharray"), of(&paths[2], "stroke-dasharray"));
    let circles = elements(&chart.svg, "circle").len();
    assert_eq!(circles, 4, "the second series has squares");
    // On a grid from −200.00 to 800.00 that is 220 high and ends at 270, 500.00 is 154 high, 700.00 is 198, 650.00 is 187.
    let points = of(&paths[0], "points");
    assert_eq!(points, "140,116 410,72 680,83");
    assert!(
        chart
            .figure
            .contains("<th scope=\"row\">Mai</th><td class=\"n\">500,00</td><td class=\"n\">\u{2212}20,00</td>")
    );
}

#[test]
fn lines_without_an_amount_for_each_point_are_refused() {
    let mut short = lines();
    short.series[1].amounts.pop();
    assert!(matches!(short.draw(), Err(Error::Field { row: 2, field: "amounts", .. })));
    let mut mixed = lines();
    mixed.series[1].amounts[2] = Money::new(1, Currency::parse("USD").expect("USD is current"));
    assert!(matches!(mixed.draw(), Err(Error::Currency { row: 2, .. })));
    let none = Lines { series: Vec::new(), ..lines() };
    assert!(none.draw().is_err());
    let unnamed = Lines { caption: Caption { id: "a b".to_owned(), ..caption() }, ..lines() };
    assert!(matches!(unnamed.draw(), Err(Error::Field { field: "id", .. })));
}

#[test]
fn the_same_numbers_give_the_same_chart() {
    assert_eq!(waterfall().draw().expect("it closes"), waterfall().draw().expect("it closes"));
}
