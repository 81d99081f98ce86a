"""What the GitHub workflow may do, and whether it fits the rest."""

import re
from typing import Any

import pytest
import yaml
from dockerfile import PROJECT, parse
from stacks import of_type, read

TEXT = (PROJECT / ".github/workflows/ci.yml").read_text()
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
STAGES = parse((PROJECT / "Dockerfile").read_text())


def test_every_action_is_pinned_to_a_commit_and_says_its_version():
    used = re.findall(r"uses: (.*)", TEXT)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_nobody_has_more_rights_than_needed_nor_for_longer():
    assert WORKFLOW["permissions"] == {}
    for name, job in JOBS.items():
        assert job["timeout-minutes"] <= 60, name
        assert job["permissions"].items() <= {"contents": "read", "id-token": "write"}.items(), name
        for step in job["steps"]:
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
    assert "id-token" not in JOBS["verify"]["permissions"]
    assert not re.search(r"secrets\.|AWS_SECRET_ACCESS_KEY|aws-secret-access-key", TEXT)


@pytest.mark.parametrize("job", ["images", "deploy"])
def test_only_a_push_to_main_touches_aws(job):
    for step in JOBS[job]["steps"]:
        touches = re.search(r"aws |aws-actions/|docker push", f"{step.get('run', '')} {step.get('uses', '')}")
        condition = " ".join((JOBS[job].get("if", ""), step.get("if", "")))
        if touches:
            assert "github.ref == 'refs/heads/main' && github.event_name == 'push'" in condition, step
    # And AWS itself takes nobody else's word.
    trust = of_type(read("github"), "AWS::IAM::Role")["DeployRole"]["AssumeRolePolicyDocument"]["Statement"][0]
    said = trust["Condition"]["StringEquals"]
    assert said["token.actions.githubusercontent.com:sub"]["Fn::Sub"] == "repo:${Repository}:ref:refs/heads/${Branch}"
    assert read("github")["Parameters"]["Branch"]["Default"] == "main"


def test_every_image_is_built_from_its_target_scanned_and_pushed_where_the_services_take_it_from():
    targets = JOBS["images"]["strategy"]["matrix"]["target"]
    repositories = {r["RepositoryName"]["Fn::Sub"] for r in of_type(read("data"), "AWS::ECR::Repository").values()}
    assert {f"${{Name}}-{target}" for target in targets} == repositories
    assert set(targets) <= STAGES.keys()
    steps = [step.get("uses", "").partition("@")[0] or "run" for step in JOBS["images"]["steps"]]
    assert steps.index("docker/build-push-action") < steps.index("anchore/scan-action") < steps.index("run")
    scan = JOBS["images"]["steps"][steps.index("anchore/scan-action")]["with"]
    assert scan["fail-build"] is True


def test_a_deploy_waits_for_tests_images_and_health_and_knows_the_way_back():
    deploy = JOBS["deploy"]
    assert set(deploy["needs"]) == {"verify", "images"}
    waited = " ".join(step.get("run", "") for step in deploy["steps"])
    services = of_type(read("services"), "AWS::ECS::Service").values()
    for service in services:
        assert service["ServiceName"]["Fn::Sub"].replace("${Name}", "housing") in waited
    assert "/health/ready" in waited
    back = deploy["steps"][-1]
    assert "failure()" in back["if"]
    assert "before.yaml" in back["run"]


def test_the_tests_run_on_the_python_of_the_images():
    assert JOBS["verify"]["container"]["image"] == STAGES["base"].base


def test_cloudformation_may_change_the_services_but_neither_roles_nor_data():
    role = of_type(read("github"), "AWS::IAM::Role")["StackRole"]
    actions = {
        action
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    }
    assert {action for action in actions if action.startswith("iam:")} == {"iam:PassRole"}
    assert not [action for action in actions if action.startswith(("s3:", "rds:", "secretsmanager:", "ec2:", "ecr:"))]
