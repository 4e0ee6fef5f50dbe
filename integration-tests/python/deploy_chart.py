"""The Helm chart, rendered with several values. Arguments: the renderer, the chart's directory, a directory for the configurations that it makes."""

import json
import pathlib
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

import checks

KUBERNETES = "1.30"
AUTH = {"tokens": [{"name": "grafana", "token_sha256": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"}],
        "access": [{"principal": "grafana", "tables": ["*"], "may": ["read"]}]}
CLUSTER = {
    "tls": {"secretName": "flight-tls"},
    "replicas": 3,
    "config": {"auth": AUTH, "kinesis": {"region": "eu-west-1"}, "checkpoints": {"dynamodb": {"table": "shardflight"}},
               "segments": {"store": "s3://lake/segments", "disk": "25GiB"}},
    "cluster": {"enabled": True, "tokenSecretName": "cluster-token", "tlsSecretName": "cluster-tls", "tlsName": "node.shardflight"},
    "tables": {"clicks.yaml": "table: clicks\nstream: clicks\ncolumns: [{ name: a, type: varchar }]\n", "old.json": "{}"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/shardflight"}},
    "secretEnv": {"AWS_ACCESS_KEY_ID": {"secret": "aws", "key": "id"}},
    "autoscaling": {"enabled": True, "minReplicas": 2, "maxReplicas": 6},
    "networkPolicy": {"enabled": True, "clients": [{"namespaceSelector": {"matchLabels": {"team": "bi"}}}]},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "persistence": {"size": "100Gi", "storageClassName": "gp3"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
                                   "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "shardflight"}}}],
    "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}, "imagePullSecrets": [{"name": "registry"}],
}
CASES = {
    "alone": {"insecure": True},
    "protected": {"tls": {"secretName": "flight-tls"}, "config": {"auth": AUTH}},
    "no-disk": {"insecure": True, "persistence": {"enabled": False}, "podDisruptionBudget": {"enabled": False}, "serviceAccount": {"create": False},
                "config": {"catalog": {"path": "s3://lake/tables"}}},
    "cluster": CLUSTER,
    "insecure-cluster": {"insecure": True, "config": CLUSTER["config"], "replicas": 2, "cluster": {"enabled": True, "tokenSecretName": "t"}},
}
REFUSED = {
    "beyond loopback": {},
    "replicas above 1": {"insecure": True, "replicas": 2},
    "autoscaling needs": {"insecure": True, "autoscaling": {"enabled": True}},
    "dynamodb": {"insecure": True, "cluster": {"enabled": True, "tokenSecretName": "t"}},
    "tlsSecretName": {"tls": {"secretName": "s"}, "config": {"auth": AUTH, "checkpoints": {"dynamodb": {}}}, "cluster": {"enabled": True, "tokenSecretName": "t"}},
    "tokenSecretName": {"insecure": True, "cluster": {"enabled": True}},
    "replica": {"insecure": True, "replica": 1},
    "config": {"insecure": True, "config": {"listen": "0.0.0.0:1"}},
    "tables": {"insecure": True, "tables": {"../x.yaml": "a"}},
}
# What Kubernetes itself does not know.
CUSTOM = {"ServiceMonitor", "PrometheusRule"}


def render(renderer, chart, values):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        # JSON is YAML
        json.dump(values, file)
        file.flush()
        done = subprocess.run([renderer, chart, "sql", "data", file.name], capture_output=True, text=True)
    return done


def documents(renderer, chart, values):
    done = render(renderer, chart, values)
    checks.equal(done.returncode, 0, done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(found, kind):
    return [document for document in found if document["kind"] == kind]


def check_manifests_are_what_kubernetes_takes(renderer, chart, _):
    for case, values in CASES.items():
        found = documents(renderer, chart, values)
        for document in found:
            if document["kind"] not in CUSTOM:
                kubernetes_validate.validate(document, KUBERNETES, strict=True)
        names = [(document["kind"], document["metadata"]["name"]) for document in found]
        checks.equal(len(names), len(set(names)), f"{case}: {names}")


def check_a_wrong_manifest_is_seen(renderer, chart, _):
    stateful = of_kind(documents(renderer, chart, CASES["alone"]), "StatefulSet")[0]
    stateful["spec"]["replica"] = 3
    checks.raises(kubernetes_validate.ValidationError, lambda: kubernetes_validate.validate(stateful, KUBERNETES, strict=True))


def check_wrong_values_are_refused_with_a_reason(renderer, chart, _):
    for reason, values in REFUSED.items():
        done = render(renderer, chart, values)
        checks.equal((done.returncode, reason in done.stderr), (1, True), f"{values}: {done.stderr}")


def check_parts_refer_to_each_other(renderer, chart, _):
    for case, values in CASES.items():
        found = documents(renderer, chart, values)
        stateful = of_kind(found, "StatefulSet")[0]["spec"]
        pod = stateful["template"]
        labels = pod["metadata"]["labels"].items()
        container = pod["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for service in of_kind(found, "Service"):
            checks.equal(service["spec"]["selector"].items() <= labels, True, f"{case}: {service['metadata']['name']} selects the pods")
            for port in service["spec"]["ports"]:
                if "targetPort" in port:
                    checks.equal(port["targetPort"] in ports, True, f"{case}: port {port}")
        checks.equal(stateful["serviceName"] in [service["metadata"]["name"] for service in of_kind(found, "Service")], True, f"{case}: headless service")
        for selecting in of_kind(found, "PodDisruptionBudget"):
            checks.equal(selecting["spec"]["selector"]["matchLabels"].items() <= labels, True, f"{case}: budget")
        for policy in of_kind(found, "NetworkPolicy"):
            checks.equal({rule["ports"][0]["port"] for rule in policy["spec"]["ingress"]} - set(ports), set(), f"{case}: policy's ports")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            checks.equal(container[probe]["httpGet"]["port"] in ports, True, f"{case}: {probe}")
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in stateful.get("volumeClaimTemplates", [])}
        checks.equal({mount["name"] for mount in container["volumeMounts"]}, volumes, f"{case}: volumes and mounts")
        maps = {document["metadata"]["name"] for document in of_kind(found, "ConfigMap")}
        used = {volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume}
        checks.equal(used, maps, f"{case}: configuration")
        context = {**pod["spec"]["securityContext"], **container["securityContext"]}
        hardened = {"runAsNonRoot": True, "runAsUser": 10001, "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
        checks.equal(hardened.items() <= context.items(), True, f"{case}: rights of the pod")
        checks.equal(("replicas" in stateful) == (not of_kind(found, "HorizontalPodAutoscaler")), True, f"{case}: who sets the number")


def check_secrets_stay_in_secrets(renderer, chart, _):
    found = documents(renderer, chart, CASES["cluster"])
    environment = {entry["name"]: entry for entry in of_kind(found, "StatefulSet")[0]["spec"]["template"]["spec"]["containers"][0]["env"]}
    token = environment["SHARDFLIGHT_CLUSTER__TOKEN"]["valueFrom"]["secretKeyRef"]
    checks.equal(token, {"name": "cluster-token", "key": "token"}, "the cluster's token")
    for config in of_kind(found, "ConfigMap"):
        checks.equal("token:" in config["data"].get("shardflight.yaml", ""), False, "no token in a ConfigMap")
    account = of_kind(found, "ServiceAccount")[0]["metadata"]["annotations"]
    checks.equal(account, CLUSTER["serviceAccount"]["annotations"], "the role of the account")


def check_rules_are_the_alerts(renderer, chart, _):
    rule = of_kind(documents(renderer, chart, CASES["cluster"]), "PrometheusRule")[0]
    checks.equal(rule["spec"], yaml.safe_load((pathlib.Path(chart) / "alerts.yaml").read_text()), "rules")


def check_configurations_are_written_for_the_server(renderer, chart, directory):
    for case, values in CASES.items():
        config = next(map for map in of_kind(documents(renderer, chart, values), "ConfigMap") if "shardflight.yaml" in (map.get("data") or {}))
        (pathlib.Path(directory) / f"{case}.yaml").write_text(config["data"]["shardflight.yaml"])


if __name__ == "__main__":
    checks.run(globals(), *sys.argv[1:])
