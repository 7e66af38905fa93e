#!/usr/bin/env bash
# Opens a pull request with the versions that the repositories of charts publish today. Does nothing if none is new.
# Needs git that may push branches, and gh that may open pull requests.
set -euo pipefail
branch=charts
author=${AUTHOR:?names who commits}
changes=$(node "$(dirname "$0")/../charts-cli.ts")
if [[ -z $changes ]]; then exit 0; fi
echo "$changes"
git switch --create "$branch"
git -c user.name="$author" -c user.email="$author@users.noreply.github.com" commit --all \
  --message 'Update the snapshot of published charts' --message "$changes"
git push --force origin "$branch"
if [[ -z $(gh pr list --head "$branch" --state open --json number --jq '.[].number') ]]; then
  gh pr create --base main --head "$branch" --title 'Update the snapshot of published charts' \
    --body 'gitops/charts.json lists what is published. To use a version, pin it in gitops/argocd on this branch.'
fi
