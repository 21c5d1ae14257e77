"""Sites, departments, topics and interests of the generated companies; invented by us."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """An office: its clock, what is spoken there (English apart), and its share of the staff."""

    location: str
    country: str
    timezone: str
    language: str
    weight: int


SITES: tuple[Site, ...] = (
    Site("London", "GB", "Europe/London", "en", 16),
    Site("Paris", "FR", "Europe/Paris", "fr", 13),
    Site("Berlin", "DE", "Europe/Berlin", "de", 12),
    Site("Madrid", "ES", "Europe/Madrid", "es", 8),
    Site("Warsaw", "PL", "Europe/Warsaw", "pl", 7),
    Site("Lisbon", "PT", "Europe/Lisbon", "pt", 5),
    Site("Nairobi", "KE", "Africa/Nairobi", "sw", 3),
    Site("New York", "US", "America/New_York", "en", 11),
    Site("Toronto", "CA", "America/Toronto", "en", 5),
    Site("Montréal", "CA", "America/Toronto", "fr", 3),
    Site("São Paulo", "BR", "America/Sao_Paulo", "pt", 5),
    Site("Pune", "IN", "Asia/Kolkata", "hi", 7),
    Site("Singapore", "SG", "Asia/Singapore", "zh", 3),
    Site("Sydney", "AU", "Australia/Sydney", "en", 2),
)

# Division → its departments; the largest department comes first in `DEPARTMENTS`.
DIVISIONS: dict[str, tuple[str, ...]] = {
    "Technology": ("Engineering", "Data & Analytics", "IT Operations", "Cyber Security"),
    "Commercial": ("Sales", "Marketing", "Customer Service", "Partnerships"),
    "Operations": ("Manufacturing", "Supply Chain", "Quality", "Field Service", "Facilities"),
    "Product": ("Product Management", "Design", "Research"),
    "Corporate": ("Finance", "People", "Legal", "Communications"),
}
DEPARTMENTS: tuple[str, ...] = (
    "Engineering", "Sales", "Manufacturing", "Customer Service", "Supply Chain", "Finance",
    "Field Service", "Data & Analytics", "IT Operations", "Product Management", "Marketing",
    "Quality", "Research", "People", "Design", "Cyber Security", "Partnerships", "Facilities",
    "Legal", "Communications",
)  # fmt: skip

# Cluster → topics, the best known first. What the young know and the senior want to learn:
YOUNG_TOPICS: dict[str, tuple[str, ...]] = {
    "ai at work": (
        "generative AI", "prompt writing", "AI assistants", "AI image tools", "AI ethics",
        "AI agents", "AI meeting notes", "retrieval search", "AI policy", "local models",
    ),
    "social media": (
        "LinkedIn presence", "TikTok", "Instagram", "short video", "podcasting", "newsletters",
        "community building", "influencer marketing", "Discord", "live streaming",
    ),
    "digital workplace": (
        "remote collaboration", "chat etiquette", "shared documents", "online whiteboards",
        "asynchronous work", "workflow automation", "no-code apps", "digital note taking",
        "keyboard shortcuts", "password managers",
    ),
    "data": (
        "data literacy", "SQL", "dashboards", "Python", "data storytelling", "A/B testing",
        "spreadsheets beyond formulas", "data pipelines", "machine learning", "geodata",
    ),
    "generations": (
        "what young staff expect", "early career motivation", "flexible work", "feedback culture",
        "mental health at work", "informal communication", "career paths of the young",
        "purpose at work", "learning by video", "student life today",
    ),
    "customers online": (
        "online shopping", "mobile payments", "app design", "customer reviews", "gaming culture",
        "subscription models", "search engines", "chat support", "loyalty apps", "creator economy",
    ),
    "inclusion": (
        "inclusive language", "allyship", "accessibility", "bias in hiring", "neurodiversity",
        "intercultural teams", "first generation graduates", "employee networks",
        "sign language basics", "inclusive meetings",
    ),
    "sustainability": (
        "climate basics", "circular economy", "carbon accounting", "sustainable travel",
        "green software", "repair culture", "plant-based canteens", "fair supply chains",
        "energy saving", "biodiversity",
    ),
    "software": (
        "agile teams", "version control", "cloud services", "application interfaces",
        "continuous delivery", "open source", "containers", "mobile apps", "test automation",
        "Rust",
    ),
    "security and privacy": (
        "phishing", "privacy settings", "two-factor sign-in", "deepfakes", "data protection",
        "secure messaging", "digital footprint", "browser privacy", "fact checking",
        "identity theft",
    ),
    "new technology": (
        "augmented reality", "3D printing", "internet of things", "robot process automation",
        "drones", "digital twins", "blockchain", "wearables", "voice interfaces",
        "quantum computing",
    ),
    "new ways of making": (
        "design thinking", "rapid prototyping", "user research", "hackathons", "video editing",
        "photo editing", "visual note taking", "service design", "maker tools", "game jams",
    ),
}  # fmt: skip

# What experience teaches, and the young want in return:
SENIOR_TOPICS: dict[str, tuple[str, ...]] = {
    "leadership": (
        "leading teams", "delegation", "difficult conversations", "coaching", "decision making",
        "hiring", "leading through change", "executive presence", "succession", "crisis leadership",
    ),
    "strategy": (
        "business strategy", "market analysis", "business cases", "mergers", "portfolio choices",
        "scenario planning", "pricing", "internationalisation", "competitor watch",
        "business models",
    ),
    "career": (
        "career planning", "networking", "public speaking", "self-confidence", "work-life balance",
        "personal brand", "moving abroad", "promotion talks", "switching function", "board roles",
    ),
    "negotiation": (
        "negotiation", "key accounts", "contract basics", "conflict resolution", "tenders",
        "supplier talks", "stakeholder maps", "works councils", "mediation", "lobbying",
    ),
    "finance": (
        "reading a balance sheet", "budgeting", "cost control", "investment decisions",
        "controlling", "cash flow", "risk management", "audits", "treasury", "tax basics",
    ),
    "operations": (
        "project management", "lean production", "quality management", "logistics", "maintenance",
        "purchasing", "process design", "safety at work", "capacity planning", "outsourcing",
    ),
    "industry": (
        "industry history", "company culture", "regulation", "standards", "product life cycles",
        "patents", "trade fairs", "customer relations", "export rules", "associations",
    ),
    "governance": (
        "compliance", "corporate governance", "ethics cases", "internal control", "data ownership",
        "reporting duties", "policy writing", "board papers", "due diligence", "whistleblowing",
    ),
}  # fmt: skip

INTERESTS: tuple[str, ...] = (
    "hiking", "running", "cooking", "football", "travel", "music", "reading", "cycling", "films",
    "gardening", "photography", "yoga", "board games", "swimming", "theatre", "dancing", "skiing",
    "chess", "painting", "climbing", "baking", "tennis", "museums", "video games", "volunteering",
    "sailing", "singing", "history", "astronomy", "knitting", "basketball", "languages",
    "woodwork", "birdwatching", "coffee", "fishing", "comics", "martial arts", "pottery", "jazz",
)  # fmt: skip
