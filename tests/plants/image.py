"""Planted bugs: the image runs without rights, holds what was locked, and its Compose file is as hard as the pods."""

from tests.plants.plant import Plant

FACTS = "tests/image/test_image_facts.py::"

PLANTS = (
    Plant(
        "image: it runs as root",
        "helm/image/Dockerfile",
        "USER 65532:65532",
        "USER 0:0",
        FACTS + "test_it_runs_as_the_user_of_the_pods_with_the_command_of_the_package",
    ),
    Plant(
        "image: the build sees the whole working copy",
        "helm/image/Dockerfile.dockerignore",
        "*\n!extproc\n",
        "!extproc\n",
        FACTS + "test_the_build_sees_what_it_copies_and_no_more",
    ),
    Plant(
        "image: the Compose file's services keep their capabilities",
        "helm/image/compose/compose.yaml",
        "  cap_drop: [ALL]\n",
        "  cap_drop: [NET_RAW]\n",
        FACTS + "test_each_service_of_the_compose_file_is_hardened",
    ),
    Plant(
        "image: a base that is not pinned is nobody's concern",
        "helm/image/build.sh",
        "        *@sha256:*) ;;\n",
        "        *) continue ;;\n",
        FACTS + "test_build_sh_says_what_it_does_and_what_is_not_pinned",
    ),
)
