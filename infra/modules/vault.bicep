// The keys of those who may ask models, and of those who steer on the page. The first ones are made at random and never
// shown; later deployments leave them.
param location string
param tags object
param vaultName string
param makeScoringKey bool

@secure()
param scoringKey string

@secure()
param pageKey string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: vaultName
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    enableRbacAuthorization: true
    sku: {
      family: 'A'
      name: 'standard'
    }
  }
}

resource keys 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (makeScoringKey) {
  parent: vault
  name: 'scoring-keys'
  properties: {
    contentType: 'Keys of those who may ask models, with blanks between'
    value: scoringKey
  }
}

resource pageKeys 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (makeScoringKey) {
  parent: vault
  name: 'page-keys'
  properties: {
    contentType: 'Keys of those who steer on the page, with blanks between'
    value: pageKey
  }
}

output pageKeysUri string = '${vault.properties.vaultUri}secrets/page-keys'
output scoringKeysUri string = '${vault.properties.vaultUri}secrets/scoring-keys'
