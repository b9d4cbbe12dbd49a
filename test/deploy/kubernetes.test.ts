/** deploy/kubernetes: each manifest fits its schema and knows no field but the schema's, and says of the program what the program is. */
import { globSync } from 'node:fs';
import path from 'node:path';
import { validate as deployment } from 'kubernetes-models/_schemas/IoK8sApiAppsV1Deployment';
import { validate as job } from 'kubernetes-models/_schemas/IoK8sApiBatchV1Job';
import { validate as configMap } from 'kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap';
import { validate as namespace } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Namespace';
import { validate as secret } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Secret';
import { validate as service } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Service';
import { validate as networkPolicy } from 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy';
import { validate as disruptionBudget } from 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { check, type Validate } from './known-fields.ts';
import { environmentProblems, isRoute, read, readYaml, readYamlDocuments, ROOT, VERSION } from './project-files.ts';

const FOLDER = 'deploy/kubernetes';
const SCHEMAS: { readonly [kind: string]: Validate } = {
  'apps/v1 Deployment': deployment,
  'batch/v1 Job': job,
  'v1 ConfigMap': configMap,
  'v1 Namespace': namespace,
  'v1 Secret': secret,
  'v1 Service': service,
  'networking.k8s.io/v1 NetworkPolicy': networkPolicy,
  'policy/v1 PodDisruptionBudget': disruptionBudget,
};

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}
interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: object;
  readonly resources: { readonly limits: object; readonly requests: object };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}
interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly defaultMode: number; readonly items?: readonly { readonly key: string }[] };
}
interface Pod {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly spec: {
    readonly securityContext: object;
    readonly automountServiceAccountToken: boolean;
    readonly enableServiceLinks: boolean;
    readonly terminationGracePeriodSeconds: number;
    readonly containers: readonly [Container];
    readonly volumes: readonly Volume[];
  };
}
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

const FILES = globSync(`${FOLDER}/*.yaml`, { cwd: ROOT }).filter((file) => path.basename(file) !== 'kustomization.yaml');
const MANIFESTS = FILES.flatMap((file) => readYamlDocuments(file) as readonly Manifest[]);
const find = (kind: string): unknown => {
  const found = MANIFESTS.find((manifest) => manifest.kind === kind);
  if (found === undefined) throw new Error(`There is no ${kind}`);
  return found;
};
interface Deployment {
  readonly replicas: number;
  readonly selector: { readonly matchLabels: object };
  readonly strategy: { readonly rollingUpdate: { readonly maxSurge: number; readonly maxUnavailable: number } };
  readonly template: Pod;
}
const DEPLOYMENT = (find('Deployment') as { readonly spec: Deployment }).spec;
const PODS: readonly (readonly [string, Pod])[] = [
  ['Deployment', DEPLOYMENT.template],
  ['Job', (find('Job') as { spec: { template: Pod } }).spec.template],
];
const CONFIG = (find('ConfigMap') as { data: Record<string, string> }).data;
const SECRETS = MANIFESTS.filter(
  (manifest): manifest is Manifest & { readonly stringData: Record<string, string> } => manifest.kind === 'Secret',
);

describe('manifests', () => {
  it.each(MANIFESTS.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest] as const))('fit: %s', (_name, manifest) => {
    const schema = SCHEMAS[`${manifest.apiVersion} ${manifest.kind}`];
    if (schema === undefined) throw new Error(`No schema for ${manifest.apiVersion} ${manifest.kind}`);
    expect(check(schema, manifest)).toEqual({ errors: [], unknown: [] });
  });

  it('would not fit with a wrong type, or a misspelt field, anywhere', () => {
    const broken = structuredClone(find('Deployment') as Record<string, Record<string, unknown>>);
    Object.assign(broken['spec'] ?? {}, { replicas: 'two', replica: 2 });
    const container = (broken as unknown as { spec: { template: Pod } }).spec.template.spec.containers[0];
    Object.assign(container.livenessProbe, { timeoutSecond: 5 });
    const { errors, unknown } = check(deployment, broken);
    expect(errors.join()).toContain('/spec/replicas');
    expect(unknown).toEqual(['/spec/replica', '/spec/template/spec/containers/0/livenessProbe/timeoutSecond']);
  });

  it('are all in the kustomization, but for the template of the secrets', () => {
    const { resources, images } = readYaml(`${FOLDER}/kustomization.yaml`) as {
      resources: readonly string[];
      images: readonly { name: string; newTag: string }[];
    };
    const applied = FILES.map((file) => path.basename(file)).filter((file) => file !== 'secrets.example.yaml');
    expect([...resources].toSorted()).toEqual(applied.toSorted());
    expect(images).toMatchObject([{ name: 'relate-mirror', newTag: VERSION }]);
  });
});

describe('settings', () => {
  it('of the pods and of the ConfigMap are settings of the program, and no secret is among them', () => {
    for (const [, { spec }] of PODS) expect(environmentProblems(spec.containers[0].env.map(({ name }) => name))).toEqual([]);
    expect(environmentProblems(Object.keys(CONFIG))).toEqual([]);
  });

  it.each(PODS)('of the %s are complete, and each file comes from a secret that has it', (_kind, { spec }) => {
    const [{ env, volumeMounts }] = spec.containers;
    const files = new Map<string, string>();
    for (const { name, mountPath } of volumeMounts) {
      const mounted = spec.volumes.find((volume) => volume.name === name)?.secret;
      const data = SECRETS.find(({ metadata }) => metadata.name === mounted?.secretName)?.stringData ?? {};
      const keys = mounted?.items?.map(({ key }) => key) ?? Object.keys(data);
      for (const key of keys) if (data[key] !== undefined) files.set(`${mountPath}/${key}`, data[key]);
    }
    const environment = { ...CONFIG, ...Object.fromEntries(env.map(({ name, value }) => [name, value])) };
    const parsed = parseConfig(environment, (file) => {
      const text = files.get(file);
      if (text === undefined) throw new Error(`${file} is in no secret`);
      return text;
    });
    expect(parsed).toMatchObject({ ok: true });
    // Readable for the program's group, and for nobody else.
    const modes = spec.volumes.flatMap((volume) => (volume.secret === undefined ? [] : [volume.secret.defaultMode]));
    expect(new Set(modes)).toEqual(new Set([0o440]));
  });

  it('give only the job the password of the owner', () => {
    const holders = PODS.filter(([, { spec }]) => spec.volumes.some(({ secret: held }) => held?.secretName === 'relate-mirror-owner'));
    expect(holders.map(([kind]) => kind)).toEqual(['Job']);
  });
});

describe('pods', () => {
  it.each(PODS)('of the %s may do nothing that the program does not need', (_kind, { spec }) => {
    const [{ securityContext, image, resources }] = spec.containers;
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } });
    expect(securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    expect(image).toBe('relate-mirror');
    expect(resources.limits).toHaveProperty('memory');
    expect(resources.requests).toHaveProperty('cpu');
  });

  it('are probed where the program answers, and stopped no sooner than it ends', () => {
    const [{ startupProbe, livenessProbe, readinessProbe, ports }] = DEPLOYMENT.template.spec.containers;
    for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) {
      expect(isRoute(httpGet.path)).toBe(true);
      expect(ports?.map(({ name }) => name)).toContain(httpGet.port);
    }
    // A restart cures neither the database nor the CRM.
    expect(livenessProbe.httpGet.path).toBe('/healthz');
    expect(readinessProbe.httpGet.path).toBe('/readyz');
    expect(isRoute(DEPLOYMENT.template.metadata.annotations?.['prometheus.io/path'] ?? '')).toBe(true);
    expect(DEPLOYMENT.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(10);
    const port = ports?.[0]?.containerPort;
    expect(read('Dockerfile')).toContain(`EXPOSE ${port}\n`);
  });

  it('are replaced while the CRM is down too, when whoever leads is not ready', () => {
    const { maxSurge, maxUnavailable } = DEPLOYMENT.strategy.rollingUpdate;
    const readyAtTheEnd = DEPLOYMENT.replicas + maxSurge - 1;
    // The last old pod goes where one fewer is still enough.
    expect(readyAtTheEnd - 1).toBeGreaterThanOrEqual(DEPLOYMENT.replicas - maxUnavailable);
  });

  it('are two, and found by the service, the budget and the policy', () => {
    expect(DEPLOYMENT.replicas).toBe(2);
    const { labels } = DEPLOYMENT.template.metadata;
    expect(labels).toMatchObject(DEPLOYMENT.selector.matchLabels);
    expect(labels).toMatchObject((find('Service') as { spec: { selector: object } }).spec.selector);
    const budget = (find('PodDisruptionBudget') as { spec: { minAvailable: number; selector: { matchLabels: object } } }).spec;
    expect(labels).toMatchObject(budget.selector.matchLabels);
    expect(budget.minAvailable).toBeLessThan(DEPLOYMENT.replicas);
    const policy = (find('NetworkPolicy') as { spec: { podSelector: { matchLabels: object } } }).spec.podSelector;
    for (const [, pod] of PODS) expect(pod.metadata.labels).toMatchObject(policy.matchLabels);
    // The job is no daemon: it must not get the service's requests.
    expect(PODS[1]?.[1].metadata.labels).not.toMatchObject(DEPLOYMENT.selector.matchLabels);
  });
});
