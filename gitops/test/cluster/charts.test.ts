import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { type Manifest, toTemplates } from '../../src/cluster/manifest-templates.ts'
import { repinImages, serverImages } from '../../src/cluster/pinned-images.ts'

const settings: Manifest = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'settings' },
  data: { own: 'a', 'of.both': 'b' },
}
const server: Manifest = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'server' },
  spec: { args: ['--save', 'no', '{{ .Name }}'] },
}
const definition: Manifest = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'things.example.com' },
}

t.test('manifests become the templates of a chart', async (t) => {
  const files = toTemplates([settings, server, definition], {
    'ConfigMap/settings': (manifest) => ({ ...manifest, data: { $values: ['configs.cm'], $default: manifest.data } }),
  })

  t.same(Object.keys(files).sort(), [
    'crds/customresourcedefinition-things.example.com.yaml',
    'templates/configmap-settings.yaml',
    'templates/deployment-server.yaml',
    'values.yaml',
  ])
  t.same(
    parse(files['values.yaml'] ?? ''),
    { configs: { cm: settings.data } },
    'its own values are those of the manifest',
  )
  t.match(files['templates/configmap-settings.yaml'], /range \$key, \$value := merge dict \(\.Values\.configs\.cm /)
  t.match(files['templates/deployment-server.yaml'], '- "no"', 'Helm reads a plain no as a boolean')
  t.match(files['templates/deployment-server.yaml'], '{{ "{{" }} .Name }}', 'braces of a manifest are no expression')
})

t.test('$value inserts the value at its path as JSON', (t) => {
  const files = toTemplates([server], { 'Deployment/server': (manifest) => ({ ...manifest, spec: { $value: 'a.b' } }) })
  t.match(files['templates/deployment-server.yaml'], 'spec: {{ .Values.a.b | toJson }}')
  t.end()
})

t.test('a change of a manifest that is not there is an error', async (t) => {
  t.throws(() => toTemplates([server], { 'ConfigMap/settings': (manifest) => manifest }), /no ConfigMap\/settings/)
})

t.test('images that manifests pin by digest are found, and pinned to those of a registry', async (t) => {
  const folder = t.testdir({})
  const file = join(folder, 'gitops/platform/thing/deployment.yaml')
  mkdirSync(join(file, '..'), { recursive: true })
  const pinned = `ghcr.io/example/thing:v1.2.3@sha256:${'a'.repeat(64)}`
  writeFileSync(file, `image: ${pinned}\nother: orders-api@sha256:${'b'.repeat(64)}\n`)

  t.ok(serverImages(folder).includes('ghcr.io/example/thing:v1.2.3'))
  repinImages(folder, new Map([['ghcr.io/example/other:v1', `sha256:${'c'.repeat(64)}`]]))
  t.match(readFileSync(file, 'utf8'), pinned, 'a registry without the image changes nothing')
  repinImages(folder, new Map([['ghcr.io/example/thing:v1.2.3', `sha256:${'c'.repeat(64)}`]]))
  t.equal(
    readFileSync(file, 'utf8'),
    `image: ghcr.io/example/thing:v1.2.3@sha256:${'c'.repeat(64)}\nother: orders-api@sha256:${'b'.repeat(64)}\n`,
  )
})
