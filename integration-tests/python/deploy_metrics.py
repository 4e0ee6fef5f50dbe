"""Dashboards and alert rules against the metrics of the running program. Arguments: the base of its HTTP address, the directory deploy/."""

import json
import pathlib
import re
import sys
import urllib.request

import promql_parser
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import checks

# Labels that scraping adds, and a metric of Prometheus itself.
SCRAPED = {"instance", "job"}
FOREIGN = {"up"}
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*", "$stream": ".*"}


def exported(base):
    """Sample name -> labels, and the names of the families, as the program gives them now."""
    with urllib.request.urlopen(f"{base}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    labels, types = {}, {}
    for family in families:
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        for suffix in suffixes:
            types[family.name + suffix] = family.type
            labels.setdefault(family.name + suffix, set())
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    # The series of consumers appear with the first of them: what docs/metrics.md says of their labels.
    labels["shardflight_checkpoint_lag_milliseconds"] |= {"checkpoint", "stream"}
    # And those of offload jobs with the first job.
    labels["shardflight_offload_lag_seconds"] |= {"offload"}
    return labels, types


def queries(deploy):
    for group in yaml.safe_load((deploy / "helm/shardflight/alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]
    for file in sorted((deploy / "grafana/dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                if "expr" in target:
                    yield f"{file.name}: {panel['title']}", target["expr"]


def plain(query):
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def selectors(expression):
    """All selectors below an expression, with whether a function of counters or of gauges is right above."""
    found = []

    def visit(node, above):
        kind = type(node).__name__
        if kind == "VectorSelector":
            found.append((node, above))
        elif kind == "MatrixSelector":
            visit(node.vector_selector, above)
        elif kind == "Call":
            for argument in node.args:
                visit(argument, node.func.name)
        elif kind == "AggregateExpr":
            visit(node.expr, above if above == "histogram_quantile" else None)
        elif kind == "BinaryExpr":
            visit(node.lhs, None)
            visit(node.rhs, None)
        elif kind in ("ParenExpr", "UnaryExpr", "SubqueryExpr"):
            visit(node.expr, above)
        elif kind not in ("NumberLiteral", "StringLiteral"):
            raise AssertionError(f"what is {kind}?")

    visit(expression, None)
    return found


def groupings(expression_text):
    return {label.strip() for labels in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression_text) for label in labels.split(",")}


def check_queries_parse_and_name_what_is_exported(base, deploy):
    labels, types = exported(base)
    seen = written = 0
    for where, query in queries(deploy):
        expression = promql_parser.parse(plain(query))
        written += len(re.findall(r"\bshardflight_\w+|\bup\b", query))
        known = set(SCRAPED) | {"le"}
        for selector, above in selectors(expression):
            seen += 1
            name = selector.name
            if name in FOREIGN:
                continue
            checks.equal(name in labels, True, f"{where}: the program exports {name}")
            known |= labels[name]
            for matcher in selector.matchers.matchers:
                checks.equal(matcher.name in labels[name] | SCRAPED, True, f"{where}: {name} has label {matcher.name}")
            counts = types[name] in ("counter", "histogram")
            over_time = above in ("rate", "increase")
            checks.equal(over_time, counts, f"{where}: {name} is a {types[name]}, under {above}")
        checks.equal(groupings(query) - known, set(), f"{where}: labels that no metric of it has")
    checks.equal(seen, written, "selectors that were looked at, of those that are written")
    checks.equal(seen > 0, True, "there are selectors")


def check_legends_and_annotations_name_labels(base, deploy):
    labels, _ = exported(base)
    every = set().union(*labels.values()) | SCRAPED
    texts = [(deploy / "helm/shardflight/alerts.yaml").read_text()]
    texts += [file.read_text() for file in (deploy / "grafana/dashboards").glob("*.json")]
    for text in texts:
        for label in re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text):
            checks.equal(label in every, True, f"{{{{{label}}}}} is a label")


def check_variables_are_declared(_, deploy):
    for file in (deploy / "grafana/dashboards").glob("*.json"):
        dashboard = json.loads(file.read_text())
        declared = {variable["name"] for variable in dashboard["templating"]["list"]} | {"__rate_interval"}
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                used = set(re.findall(r"\$(\w+)", target.get("expr", "") + target.get("queryText", "")))
                checks.equal(used - declared, set(), f"{file.name}: {panel['title']}")
        ids = [panel["id"] for panel in dashboard["panels"]]
        checks.equal(len(ids), len(set(ids)), f"{file.name}: ids of panels")


def check_data_sources_are_provisioned(_, deploy):
    provisioned = yaml.safe_load((deploy / "grafana/provisioning/datasources/datasources.yaml").read_text())
    known = {(source["type"], source["uid"]) for source in provisioned["datasources"]}
    for file in (deploy / "grafana/dashboards").glob("*.json"):
        used = re.findall(r'"datasource":\s*\{\s*"type":\s*"([^"]+)",\s*"uid":\s*"([^"]+)"', file.read_text())
        checks.equal(bool(used), True, f"{file.name} uses data sources")
        checks.equal(set(used) - known, set(), f"{file.name}: data sources")


def check_every_documented_metric_is_exported(base, deploy):
    labels, _ = exported(base)
    text = (deploy.parent / "docs/metrics.md").read_text()
    # a series of a job is there as soon as the job is; the tests of offload look at them
    for name in re.findall(r"`(shardflight_(?!offload_)\w+)`", text):
        found = name in labels or any(sample.startswith(f"{name}_") for sample in labels)
        checks.equal(found, True, f"docs/metrics.md: {name} is exported")


if __name__ == "__main__":
    checks.run(globals(), sys.argv[1], pathlib.Path(sys.argv[2]))
