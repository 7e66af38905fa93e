import type { File, Project, Violation, Workspace } from './workspace.ts'

type Rule = {
  rule: string
  message: string
  /** The files the rule is for, as `apps/orders-api/src/app.ts`. */
  files: RegExp
  /** The files that do this for all others. */
  except: RegExp
  broken: (file: File) => number | undefined
}

const rules: Rule[] = [
  {
    rule: 'environment',
    message: 'reads the environment: settings come as values from the config.ts of the process',
    files: /^(?:apps|packages)\/[^/]+\/(?:src|migrations)\/.*\.ts$/,
    // A command of its own (*-cli.ts) and the development runner are processes without a config.ts.
    except: /^apps\/[^/]+\/src\/(?:config|serve)\.ts$|^packages\/[^/]+\/src\/[^/]+-cli\.ts$|^apps\/orders-e2e\//,
    broken: ({ code, imports }) =>
      // PATH is how a program finds another one, not a setting.
      lineOf(
        code,
        /\bprocess\s*(?:\?\.|\.|\[)\s*env\b(?!\.PATH\b)|\bprocess\s*\[|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/,
      ) ??
      (imports.some(({ specifier }) => /^(?:node:)?process$/.test(specifier))
        ? lineOf(code, /import[^"]*\benv\b[^"]*"/)
        : undefined),
  },
  {
    rule: 'pool',
    message: 'reaches the pool: open a tenant transaction instead, so that Row-Level Security has its tenant',
    files: /^(?:apps|packages)\/[^/]+\/src\/.*\.ts$/,
    except: /^packages\/database\/src\/|^apps\/orders-api\/src\/plugins\/database\.ts$|^apps\/orders-e2e\//,
    broken: ({ code, imports }) =>
      lineOf(code, /\bpool\s*(?:\?\.|\.)\s*(?:query|connect)\b|\b(?:app|fastify|server|instance)\s*\.\s*pg\b/) ??
      imports.find(({ specifier, typeOnly }) => !typeOnly && /^(?:pg|@fastify\/postgres)$/.test(specifier))?.line,
  },
  {
    rule: 'raw-view',
    message: 'writes a value unescaped: use <%= %>; only include() and the body of a layout are HTML already',
    files: /\.eta$/,
    except: /^$/,
    broken: ({ text }) => lineOf(text, /<%[-_]?\s*~(?!\s*(?:include(?:Async)?\s*\(|it\.body\s*[-_]?%>))/),
  },
]

/** Every file that does by itself what one place does for all. */
export function checkCode({ projects }: Workspace): Violation[] {
  return projects.flatMap((project) => project.files.flatMap((file) => checkFile(project, file)))
}

function checkFile({ folder }: Project, file: File): Violation[] {
  const path = `${folder}/${file.path}`
  return rules.flatMap(({ rule, message, files, except, broken }) => {
    const line = files.test(path) && !except.test(path) ? broken(file) : undefined
    return line === undefined ? [] : [{ rule, where: `${path}:${line}`, message }]
  })
}

function lineOf(text: string, pattern: RegExp): number | undefined {
  const match = pattern.exec(text)
  return match === null ? undefined : text.slice(0, match.index).split('\n').length
}
