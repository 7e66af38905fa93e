#!/usr/bin/env bash
# Opens the pull request that brings what one environment runs to the next: propose.sh FROM TO COMMIT.
# Needs git that may push branches, and gh that may open pull requests.
set -euo pipefail
from=$1 to=$2 commit=$3
branch=promote/$to
said=$(node "$(dirname "$0")/../release/cli.ts" promote --from "$from" --to "$to" --commit "$commit" --request "$branch")
echo "$said"
if [[ $said == *'nothing to write'* ]]; then exit 0; fi
title="Promote ${commit:0:10} from $from to $to"
body="$from runs it: every target answers with this commit, and the smoke test is green. Merging is the deployment."
if [[ -n $(gh pr list --head "$branch" --state open --json number --jq '.[].number') ]]; then
  gh pr edit "$branch" --title "$title" --body "$body"
else
  gh pr create --base main --head "$branch" --title "$title" --body "$body"
fi
