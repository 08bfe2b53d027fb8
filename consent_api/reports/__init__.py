"""The reports that partners get: templates, what they cost, and how they are made."""

from consent_api.contributions import Source as Source
from consent_api.reports.document import compose as compose
from consent_api.reports.making import Made as Made
from consent_api.reports.making import make_report as make_report
from consent_api.reports.plan import Plan as Plan
from consent_api.reports.plan import plans as plans
