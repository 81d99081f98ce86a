"""What the GitHub workflow may do, and whether it fits the rest."""

import re
from typing import Any

import pytest
import yaml
from dockerfile import PROJECT, parse
from stacks import INFRA, of_type, read

FILES = sorted((PROJECT / ".github/workflows").glob("*.yml"))
TEXT = "".join(file.read_text() for file in FILES)
WORKFLOWS: dict[str, dict[Any, Any]] = {file.stem: yaml.safe_load(file.read_text()) for file in FILES}
JOBS: dict[str, dict[str, Any]] = WORKFLOWS["ci"]["jobs"]
RELEASE: dict[str, Any] = WORKFLOWS["release"]["jobs"]["release"]
WRITES = {
    "images": {"id-token", "attestations"},
    "deploy": {"id-token"},
    "release": {"id-token", "attestations", "contents"},
}
"""What a job may write; every other may read alone."""
STAGES = parse((PROJECT / "Dockerfile").read_text())


def test_every_action_is_pinned_to_a_commit_and_says_its_version():
    used = re.findall(r"uses: (.*)", TEXT)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_nobody_has_more_rights_than_needed_nor_for_longer():
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {}
        for name, job in workflow["jobs"].items():
            assert job["timeout-minutes"] <= 60, name
            assert {right for right, may in job["permissions"].items() if may == "write"} == WRITES.get(name, set())
            for step in job["steps"]:
                if "checkout" in step.get("uses", ""):
                    assert step["with"]["persist-credentials"] is False
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
    steps = [step.get("uses", "").partition("@")[0] or step.get("run", "") for step in JOBS["images"]["steps"]]
    order = [
        next(i for i, step in enumerate(steps) if step.startswith(beginning) or beginning in step)
        for beginning in ("docker/build-push-action", "infra/smoke.sh", "anchore/sbom-action", "anchore/scan-action",
                          "actions/upload-artifact", "docker push", "actions/attest-build-provenance")
    ]  # fmt: skip
    assert order == sorted(order), "what is pushed was run, listed and scanned before"
    assert steps.count("docker/build-push-action") == 1
    scan = JOBS["images"]["steps"][order[3]]["with"]
    assert (scan["fail-build"], scan["only-fixed"], scan["severity-cutoff"]) == (True, True, "high")
    kept = JOBS["images"]["steps"][order[4]]
    assert kept["if"] == "always()"
    listed = JOBS["images"]["steps"][order[2]]["with"]
    assert listed["format"] == "cyclonedx-json"
    assert set(kept["with"]["path"].splitlines()) == {listed["output-file"], scan["output-file"]}


def test_what_is_deployed_is_what_was_pushed_by_its_digest():
    targets = JOBS["images"]["strategy"]["matrix"]["target"]
    parameters = read("services")["Parameters"]
    (deployed,) = (s["run"] for s in JOBS["deploy"]["steps"] if "infra/services.yaml" in s.get("run", ""))
    for target in targets:
        assert JOBS["images"]["outputs"][target] == f"${{{{ steps.push.outputs.{target} }}}}"
        assert JOBS["deploy"]["env"][target.upper()] == f"${{{{ needs.images.outputs.{target} }}}}"
        assert f'"{target.title()}Digest=${target.upper()}"' in deployed
        assert f"{target.title()}Digest" in parameters
    assert "ImageTag=$TAG" in deployed
    images = set(
        re.findall(r"\$\{Name\}-(?:dagster|api|dashboard)[@:]\$\{\w+\}", (INFRA / "services.yaml").read_text())
    )
    assert images == {f"${{Name}}-{target}@${{{target.title()}Digest}}" for target in targets}


def test_a_deploy_waits_for_tests_images_and_health_and_knows_the_way_back():
    deploy = JOBS["deploy"]
    assert set(deploy["needs"]) == JOBS.keys() - {"deploy"}
    waited = " ".join(step.get("run", "") for step in deploy["steps"])
    services = of_type(read("services"), "AWS::ECS::Service").values()
    for service in services:
        assert service["ServiceName"]["Fn::Sub"].replace("${Name}", "housing") in waited
    assert "/health/ready" in waited
    (before,) = (step["run"] for step in deploy["steps"] if "> before.txt" in step.get("run", ""))
    assert "ends_with(ParameterKey, 'Digest')" in before
    back = deploy["steps"][-1]
    assert "failure()" in back["if"]
    assert "before.yaml" in back["run"]
    assert '"${before[@]}"' in back["run"]


def test_every_python_that_the_project_names_is_tested():
    named = set(re.findall(r"Programming Language :: Python :: (3\.\d+)", (PROJECT / "pyproject.toml").read_text()))
    (own,) = re.findall(r"python:(3\.\d+)", JOBS["verify"]["container"]["image"])
    assert {own, *JOBS["pythons"]["strategy"]["matrix"]["python"]} == named


def test_a_release_is_of_main_and_of_what_ci_has_passed():
    assert WORKFLOWS["release"][True] == {"workflow_dispatch": None}  # YAML reads `on` as true
    assert RELEASE["if"] == "github.ref == 'refs/heads/main'"
    commands = [step.get("run", "") for step in RELEASE["steps"]]
    first = next(command for command in commands if command)
    assert ".ci/notes.py" in first
    assert "--workflow ci" in first
    assert "--status success" in first
    assert "make wheels" in commands
    assert "gh release create" in commands[-1]


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
