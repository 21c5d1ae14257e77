"""Names, places, titles and skills of the invented company; all of them are made up by us."""

from __future__ import annotations

from dataclasses import dataclass

GIVEN_NAMES: dict[str, tuple[str, ...]] = {
    "anglo": (
        "Alba",
        "Corin",
        "Dara",
        "Ellis",
        "Fern",
        "Harlan",
        "Isla",
        "Jory",
        "Kit",
        "Maren",
        "Nell",
        "Orla",
        "Perrin",
        "Rowan",
        "Tamsin",
        "Wyn",
    ),
    "french": (
        "Aurèle",
        "Bérénice",
        "Clémence",
        "Désiré",
        "Élodie",
        "Firmin",
        "Honorine",
        "Josselin",
        "Léonie",
        "Maël",
        "Noémie",
        "Octave",
        "Salomé",
        "Théodore",
    ),
    "german": (
        "Annika",
        "Bastian",
        "Dörte",
        "Enno",
        "Frieda",
        "Gesa",
        "Henrik",
        "Imke",
        "Jannis",
        "Lioba",
        "Malte",
        "Okka",
        "Sönke",
        "Tjark",
    ),
    "iberian": (
        "Amaia",
        "Benício",
        "Candela",
        "Dinis",
        "Eneko",
        "Fátima",
        "Graça",
        "Iker",
        "Leandro",
        "Marisol",
        "Nuno",
        "Rocío",
        "Teo",
        "Xavier",
    ),
    "indian": (
        "Aarav",
        "Bhavna",
        "Charu",
        "Devika",
        "Eshan",
        "Gauri",
        "Harish",
        "Indira",
        "Kavya",
        "Lakshan",
        "Meera",
        "Nikhil",
        "Pranav",
        "Rukmini",
    ),
    "asian": (
        "Aiko",
        "Bao",
        "Chun",
        "Emi",
        "Haruto",
        "Jia",
        "Kenji",
        "Lan",
        "Mei",
        "Noriko",
        "Ren",
        "Shufen",
        "Wei",
        "Yuna",
    ),
}
FAMILY_NAMES: dict[str, tuple[str, ...]] = {
    "anglo": (
        "Ashdown", "Birkett", "Calloway", "Dunmore", "Eastlake", "Fairholm", "Garrick", "Hollis",
        "Kestrel", "Lindow", "Marsden", "Northcott", "Pellow", "Redfern", "Thornby", "Wexley",
    ),
    "french": (
        "Aubrac", "Beaulac", "Chantreuil", "Delorme", "Estève", "Fontanel", "Grandval",
        "Jolivet", "Lavergne", "Montclar", "Périer", "Rochebrune", "Sauvignac", "Valmont",
    ),
    "german": (
        "Ahrendt", "Brockmann", "Dreesen", "Eichwald", "Fehrling", "Grothe", "Hansemann",
        "Köpplin", "Lüders", "Moorkamp", "Osterloh", "Quandthal", "Rühmkorf", "Steenbock",
    ),
    "iberian": (
        "Albarrán", "Bettencour", "Carvalhal", "Durango", "Echevarri", "Figueira", "Galindez",
        "Larrazo", "Monforte", "Noronha", "Pinhal", "Quiroga", "Salgueiro", "Valdemar",
    ),
    "indian": (
        "Acharekar", "Bhattal", "Chandwar", "Deshmane", "Gokhar", "Iyengaran", "Joshipur",
        "Kulkar", "Mahadev", "Nadarajan", "Pillaiyar", "Raghuvan", "Sathe", "Varadhan",
    ),
    "asian": (
        "Amano", "Chenlin", "Daizawa", "Fujimaki", "Hoang", "Ishimori", "Kwanlee", "Linwei",
        "Murazumi", "Ngo", "Ongteng", "Saotome", "Tanwei", "Yunoki",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Site:
    """An office with its clock and languages; `weight` is its share of the staff."""

    location: str
    country: str
    timezone: str
    locale: str
    languages: tuple[str, ...]
    names: str
    weight: int


SITES: tuple[Site, ...] = (
    Site("Lyon", "FR", "Europe/Paris", "fr-FR", ("fr", "en"), "french", 18),
    Site("London", "GB", "Europe/London", "en-GB", ("en",), "anglo", 20),
    Site("Hamburg", "DE", "Europe/Berlin", "de-DE", ("de", "en"), "german", 18),
    Site("Bilbao", "ES", "Europe/Madrid", "es-ES", ("es", "en"), "iberian", 9),
    Site("Porto", "PT", "Europe/Lisbon", "pt-PT", ("pt", "en"), "iberian", 8),
    Site("Boston", "US", "America/New_York", "en-US", ("en",), "anglo", 12),
    Site("Montréal", "CA", "America/Toronto", "fr-CA", ("fr", "en"), "french", 5),
    Site("Pune", "IN", "Asia/Kolkata", "en-IN", ("en",), "indian", 7),
    Site("Singapore", "SG", "Asia/Singapore", "en-SG", ("en",), "asian", 3),
)

DIVISIONS: dict[str, tuple[str, ...]] = {
    "Technology": ("Engineering", "Data & Analytics", "IT Operations"),
    "Product": ("Product Management", "Design"),
    "Commercial": ("Sales", "Marketing", "Customer Service"),
    "Operations": ("Supply Chain", "Manufacturing", "Quality"),
    "Finance & Legal": ("Finance", "Legal"),
    "People & Culture": ("People", "Communications"),
    "Regions": ("Field Service", "Partnerships"),
}

TRADES: dict[str, str] = {
    "Engineering": "Engineer",
    "Data & Analytics": "Analyst",
    "IT Operations": "Systems Specialist",
    "Product Management": "Product Manager",
    "Design": "Designer",
    "Sales": "Account Manager",
    "Marketing": "Marketer",
    "Customer Service": "Service Advisor",
    "Supply Chain": "Planner",
    "Manufacturing": "Process Technician",
    "Quality": "Quality Specialist",
    "Finance": "Controller",
    "Legal": "Counsel",
    "People": "People Partner",
    "Communications": "Editor",
    "Field Service": "Field Engineer",
    "Partnerships": "Alliance Manager",
}

# What a generation tends to know, whatever its trade; first come the most common ones.
JUNIOR_TOPICS: tuple[str, ...] = (
    "AI tools",
    "Social media",
    "Data literacy",
    "Digital collaboration",
    "Accessibility",
    "Inclusion",
    "Sustainability",
    "Short video",
    "Automation",
    "Cyber hygiene",
    "Customer experience online",
    "Remote work",
)
SENIOR_TOPICS: tuple[str, ...] = (
    "Leadership",
    "Strategy",
    "Negotiation",
    "Finance",
    "Stakeholder management",
    "Change management",
    "Public speaking",
    "Hiring",
    "Industry knowledge",
)
TRADE_TOPICS: dict[str, tuple[str, ...]] = {
    "Engineering": ("AI tools", "Automation", "Cyber hygiene"),
    "Data & Analytics": ("Data literacy", "AI tools", "Automation"),
    "IT Operations": ("Cyber hygiene", "Digital collaboration", "Remote work"),
    "Product Management": ("Customer experience online", "Data literacy"),
    "Design": ("Accessibility", "Short video", "Inclusion"),
    "Sales": ("Social media", "Customer experience online"),
    "Marketing": ("Social media", "Short video", "AI tools"),
    "Customer Service": ("Customer experience online", "Accessibility"),
    "Supply Chain": ("Sustainability", "Automation"),
    "Manufacturing": ("Sustainability", "Automation"),
    "Quality": ("Data literacy", "Sustainability"),
    "Finance": ("Data literacy", "Automation"),
    "Legal": ("Cyber hygiene", "Inclusion"),
    "People": ("Inclusion", "Remote work", "Digital collaboration"),
    "Communications": ("Social media", "Short video", "Accessibility"),
    "Field Service": ("Remote work", "Digital collaboration"),
    "Partnerships": ("Social media", "Digital collaboration"),
}
INTERESTS: tuple[str, ...] = (
    "Cooking",
    "Cycling",
    "Running",
    "Music",
    "Photography",
    "Reading",
    "Travel",
    "Gardening",
    "Chess",
    "Volunteering",
    "Gaming",
    "Hiking",
    "Theatre",
    "Podcasts",
)
