//! The requests of S3 that are served.

use std::io::SeekFrom;

use async_trait::async_trait;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETagCondition, Error, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
    HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, PutObjectInput,
    PutObjectOutput, StreamingBlob, Timestamp, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::folder::{Conditions, Folder, failed, found, tag};
use crate::list::{self, Query};

#[async_trait]
impl S3 for Folder {
    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&request.input.bucket).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let path = self.object(&request.input.bucket, &request.input.key).await?;
        let Some(found) = found(&path).await? else {
            return Err(s3_error!(NoSuchKey, "the object does not exist"));
        };
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(found.len()).ok(),
            e_tag: Some(tag(&found)),
            last_modified: found.modified().ok().map(Timestamp::from),
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, if_match, .. } = request.input;
        let path = self.object(&bucket, &key).await?;
        if found(&path).await?.is_none() {
            return Err(s3_error!(NoSuchKey, "the object does not exist"));
        }
        let mut file = File::open(&path).await.map_err(|error| s3_error!(error, NoSuchKey))?;
        // Of the file that is open: another may have taken its place.
        let found = file.metadata().await.map_err(failed)?;
        let e_tag = tag(&found);
        let is_another =
            |condition: &ETagCondition| condition.as_etag().is_some_and(|wanted| !wanted.strong_cmp(&e_tag));
        if if_match.as_ref().is_some_and(is_another) {
            return Err(s3_error!(PreconditionFailed, "the object is another"));
        }
        let size = found.len();
        let part = range.map(|range| range.check(size)).transpose()?;
        let content_range =
            part.as_ref().map(|part| format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1)));
        let part = part.unwrap_or(0..size);
        file.seek(SeekFrom::Start(part.start)).await.map_err(failed)?;
        let length = part.end.saturating_sub(part.start);
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(ReaderStream::new(file.take(length)))),
            content_length: i64::try_from(length).ok(),
            content_range,
            e_tag: Some(e_tag),
            last_modified: found.modified().ok().map(Timestamp::from),
            ..GetObjectOutput::default()
        }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let PutObjectInput { bucket, key, body, if_match, if_none_match, .. } = request.input;
        let path = self.object(&bucket, &key).await?;
        let mut aside = self.aside().await?;
        if let Some(body) = body {
            aside.write(body).await?;
        }
        let e_tag = self.place(aside.finish().await?, &path, &Conditions { if_match, if_none_match }).await?;
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(e_tag), ..PutObjectOutput::default() }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(&request.input.bucket, &request.input.key).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = request.input;
        let mut output = DeleteObjectsOutput::default();
        for object in delete.objects {
            match self.delete(&bucket, &object.key).await {
                Ok(()) if delete.quiet == Some(true) => {}
                Ok(()) => output
                    .deleted
                    .get_or_insert_default()
                    .push(DeletedObject { key: Some(object.key), ..DeletedObject::default() }),
                Err(error) => output.errors.get_or_insert_default().push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: None,
                }),
            }
        }
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let ListObjectsV2Input {
            bucket, prefix, delimiter, max_keys, continuation_token, start_after, ..
        } = request.input;
        let folder = self.bucket(&bucket).await?;
        let after = continuation_token.clone().or(start_after).unwrap_or_default();
        let query = Query { prefix: prefix.unwrap_or_default(), delimiter, after, most: max_keys };
        let page = tokio::task::spawn_blocking(move || list::page(&folder, &query)).await;
        let page = page.map_err(|error| s3_error!(error, InternalError))??;
        Ok(S3Response::new(ListObjectsV2Output { name: Some(bucket), continuation_token, ..page }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, .. } = request.input;
        self.object(&bucket, &key).await?;
        let upload_id = Some(self.begin_upload(&bucket, &key).await?);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let UploadPartInput { bucket, key, upload_id, part_number, body, .. } = request.input;
        let upload = self.upload(&upload_id, &bucket, &key).await?;
        let mut aside = self.aside().await?;
        if let Some(body) = body {
            aside.write(body).await?;
        }
        let part = upload.join(part_number.to_string());
        let e_tag = self.place(aside.finish().await?, &part, &Conditions::default()).await?;
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(e_tag), ..UploadPartOutput::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let CompleteMultipartUploadInput {
            bucket,
            key,
            upload_id,
            multipart_upload,
            if_match,
            if_none_match,
            ..
        } = request.input;
        let path = self.object(&bucket, &key).await?;
        let upload = self.upload(&upload_id, &bucket, &key).await?;
        let parts = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut aside = self.aside().await?;
        let mut before = 0;
        for part in parts {
            let number = part.part_number.filter(|number| *number > before);
            let number = number.ok_or_else(|| s3_error!(InvalidPartOrder, "parts must be in their order"))?;
            let file = upload.join(number.to_string());
            let found = found(&file).await?.map(|found| tag(&found));
            if found.is_none() || part.e_tag.is_some() && part.e_tag != found {
                return Err(s3_error!(InvalidPart, "a part is not the one that was uploaded"));
            }
            aside.append(&file).await?;
            before = number;
        }
        if before == 0 {
            return Err(s3_error!(MalformedXML, "an upload has at least one part"));
        }
        let e_tag = self.place(aside.finish().await?, &path, &Conditions { if_match, if_none_match }).await?;
        fs::remove_dir_all(&upload).await.map_err(failed)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            e_tag: Some(e_tag),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
        let upload = self.upload(&upload_id, &bucket, &key).await?;
        fs::remove_dir_all(&upload).await.map_err(failed)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
