"""The stacks of `infra/` on a server that speaks AWS's API."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parents[2] / "infra"
ORDER = ("network", "data", "services")
TAG = "0123abc"
DIGESTS = {target: f"sha256:{number:064x}" for number, target in enumerate(("dagster", "api", "dashboard"), 10)}
SERVICES = {"ImageTag": TAG, **{f"{target.title()}Digest": digest for target, digest in DIGESTS.items()}}
"""What a deploy says of the images."""
STAND_INS = (
    "AWS::SecretsManager::Secret",
    "AWS::ServiceDiscovery::PrivateDnsNamespace",
    "AWS::ServiceDiscovery::Service",
)
"""What the test server's CloudFormation cannot make but others refer to; a topic takes its place there, whose name is
an ARN too. What it cannot make and nobody refers to it leaves out: alarms, scaling, the bucket's policy."""

Template = dict[str, Any]


def read(name: str) -> Template:
    """A template, its short forms written out."""
    from cfnlint.decode import decode

    template, problems = decode(str(INFRA / f"{name}.yaml"))
    assert template is not None, problems
    return json.loads(json.dumps(template))


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """Properties of every resource of a type, by name."""
    return {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == kind}


def deploy(cloudformation: Any, changed: Mapping[str, Template] | None = None, prefix: str = "housing") -> None:
    """Deploy the stacks in order; those in `changed` as they are there."""
    for name in ORDER:
        template = stand_in((changed or {}).get(name) or read(name), prefix)
        given = {"Name": prefix, **(SERVICES if name == "services" else {})}
        cloudformation.create_stack(
            StackName=f"{prefix}-{name}",
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        )
        (stack,) = cloudformation.describe_stacks(StackName=f"{prefix}-{name}")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE", stack


def stand_in(template: Template, prefix: str) -> Template:
    """The template with topics for what the test server cannot make."""
    made = {
        key: {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": f"{prefix}-{key}"}}
        for key, resource in template["Resources"].items()
        if resource["Type"] in STAND_INS
    }
    return {**template, "Resources": {**template["Resources"], **made}}


def outputs(cloudformation: Any, stack: str) -> dict[str, str]:
    (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    return {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}
