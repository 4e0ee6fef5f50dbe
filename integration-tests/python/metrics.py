"""The metrics as Prometheus reads them. Arguments: the base of the HTTP address, and what is expected, as JSON: [[name, {label: value}, number], ...]."""

import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

import checks


def families(base):
    with urllib.request.urlopen(f"{base}/metrics") as answer:
        checks.equal(answer.headers["content-type"].split(";")[0], "application/openmetrics-text", "content type")
        return list(text_string_to_metric_families(answer.read().decode()))


def check_every_family_is_described_and_prefixed(base, _):
    found = families(base)
    checks.equal(len(found) > 15, True, f"families: {[family.name for family in found]}")
    for family in found:
        checks.equal(family.name.startswith("shardflight_"), True, family.name)
        checks.equal(bool(family.documentation) and family.type != "unknown", True, f"{family.name} is described")


def check_values(base, expected):
    samples = [sample for family in families(base) for sample in family.samples]
    for name, labels, number in json.loads(expected):
        matching = [sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()]
        checks.equal(bool(matching), True, f"{name} {labels} is there")
        checks.equal(sum(matching), number, f"{name} {labels}")


def check_histograms_add_up(base, _):
    for family in families(base):
        if family.type != "histogram":
            continue
        for count in [sample for sample in family.samples if sample.name.endswith("_count")]:
            buckets = [sample for sample in family.samples if sample.name.endswith("_bucket") and count.labels.items() <= sample.labels.items()]
            checks.equal(buckets[-1].labels["le"], "+Inf", "the last bucket")
            checks.equal(buckets[-1].value, count.value, f"{family.name} {count.labels}")


if __name__ == "__main__":
    checks.run(globals(), sys.argv[1], sys.argv[2])
